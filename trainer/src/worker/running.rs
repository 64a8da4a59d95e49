//! The jobs that run: how far they are, and how to stop one.

use crate::job::JobId;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Why a job is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// CancelJob.
    Cancel,
    /// Its time is up.
    Deadline,
    /// The process is about to end.
    Shutdown,
}

/// A job that runs.
#[derive(Debug, Default)]
pub struct RunningJob {
    /// 0, or the number of the first [`Stop`] that was asked for.
    stop: AtomicU8,
    step: AtomicU64,
    begun: OnceLock<Begun>,
}

/// When a job's training began, in this process and before.
#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Instant,
    /// Time of training in earlier attempts.
    spent_before: Duration,
    deadline: Option<Instant>,
}

impl RunningJob {
    /// Asks it to stop; the first reason counts.
    pub fn stop(&self, why: Stop) {
        let number = match why {
            Stop::Cancel => 1,
            Stop::Deadline => 2,
            Stop::Shutdown => 3,
        };
        // Another reason was first: then that one counts.
        let _ = self
            .stop
            .compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Why it was asked to stop.
    #[must_use]
    pub fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Acquire) {
            1 => Some(Stop::Cancel),
            2 => Some(Stop::Deadline),
            3 => Some(Stop::Shutdown),
            _ => None,
        }
    }

    /// Whether to stop; read at every step.
    #[must_use]
    pub fn should_stop(&self) -> bool {
        if self.stop.load(Ordering::Relaxed) != 0 {
            return true;
        }
        let late = self
            .begun
            .get()
            .and_then(|begun| begun.deadline)
            .is_some_and(|deadline| Instant::now() >= deadline);
        if late {
            self.stop(Stop::Deadline);
        }
        late
    }

    /// Its training begins, after so much in earlier attempts, and may last `at_most` in all.
    pub(super) fn begin(&self, spent_before: Duration, at_most: Option<Duration>) {
        let at = Instant::now();
        let left = at_most.map(|at_most| at_most.saturating_sub(spent_before));
        // Set once, by the worker.
        let _ = self.begun.set(Begun {
            at,
            spent_before,
            deadline: left.and_then(|left| at.checked_add(left)),
        });
    }

    /// Time of training over all attempts.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.begun.get().map_or(Duration::ZERO, |begun| {
            begun.spent_before + begun.at.elapsed()
        })
    }

    /// Steps done.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.step.load(Ordering::Relaxed)
    }

    pub(super) fn set_step(&self, step: u64) {
        self.step.store(step, Ordering::Relaxed);
    }
}

/// All jobs that run.
#[derive(Debug, Default)]
pub struct Registry {
    jobs: Mutex<HashMap<JobId, Arc<RunningJob>>>,
}

impl Registry {
    /// A job that runs, or `None`.
    #[must_use]
    pub fn get(&self, job: JobId) -> Option<Arc<RunningJob>> {
        self.lock().get(&job).cloned()
    }

    pub(super) fn add(&self, job: JobId) -> Arc<RunningJob> {
        let running = Arc::<RunningJob>::default();
        self.lock().insert(job, Arc::clone(&running));
        running
    }

    pub(super) fn remove(&self, job: JobId) {
        self.lock().remove(&job);
    }

    pub(super) fn stop_all(&self, why: Stop) {
        for running in self.lock().values() {
            running.stop(why);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Arc<RunningJob>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts() {
        let job = RunningJob::default();
        assert!(!job.should_stop());
        job.stop(Stop::Cancel);
        job.stop(Stop::Shutdown);
        assert!(job.should_stop());
        assert_eq!(job.stopped(), Some(Stop::Cancel));
    }

    #[test]
    fn deadlines_count_earlier_attempts() {
        let (hour, second) = (Duration::from_secs(3_600), Duration::from_secs(1));
        for (spent_before, at_most, late) in [
            (Duration::ZERO, None, false),
            (hour, None, false),
            (Duration::ZERO, Some(hour), false),
            (Duration::ZERO, Some(Duration::ZERO), true),
            (hour - second, Some(hour), false),
            (hour, Some(hour), true),
            (hour + second, Some(hour), true),
        ] {
            let job = RunningJob::default();
            assert_eq!(job.spent(), Duration::ZERO);
            job.begin(spent_before, at_most);
            assert_eq!(job.should_stop(), late, "{spent_before:?} {at_most:?}");
            assert_eq!(job.stopped(), late.then_some(Stop::Deadline));
            assert!(job.spent() >= spent_before);
        }
    }
}
