//! The running jobs, with their progress and the means to stop one.

use crate::job::{JobId, Publishing, now_us};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Why a job stops before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// CancelJob.
    Cancel,
    /// Its deadline has passed.
    Deadline,
    /// The process is shutting down.
    Shutdown,
}

/// A job that runs.
#[derive(Debug, Default)]
pub struct RunningJob {
    /// The first reason; later ones do not count.
    stop: OnceLock<StopReason>,
    /// Cancelled once there is a reason.
    stopped: CancellationToken,
    step: AtomicU64,
    /// Set while a checkpoint waits for a storage that fails.
    publishing: watch::Sender<Option<Publishing>>,
    clock: OnceLock<Clock>,
    /// Time of training that the worker of another process has reported, in microseconds.
    reported_us: AtomicU64,
}

/// The time of training, in this process and before.
#[derive(Clone, Copy, Debug)]
struct Clock {
    started: Instant,
    /// Time of training in earlier attempts.
    spent_before: Duration,
    deadline: Option<Instant>,
}

impl RunningJob {
    /// Stops the job at its next step; the first reason counts.
    pub fn stop(&self, reason: StopReason) {
        let _ = self.stop.set(reason);
        self.stopped.cancel();
    }

    /// Waits until the job is to stop; its deadline counts.
    pub(super) async fn stopped(&self) {
        let deadline = self.clock.get().and_then(|clock| clock.deadline);
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stopped.cancelled() => {}
            () = late => self.stop(StopReason::Deadline),
        }
    }

    /// Why the job stops, if it does.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.stop.get().copied()
    }

    /// Whether to stop; read at every step.
    #[must_use]
    pub fn should_stop(&self) -> bool {
        if self.stop.get().is_some() {
            return true;
        }
        let late = self
            .clock
            .get()
            .and_then(|clock| clock.deadline)
            .is_some_and(|deadline| Instant::now() >= deadline);
        if late {
            self.stop(StopReason::Deadline);
        }
        late
    }

    /// Starts the clock of the training, which may take `limit` over all attempts, of which
    /// `spent_before` is gone.
    pub(super) fn start_clock(&self, spent_before: Duration, limit: Option<Duration>) {
        let started = Instant::now();
        let left = limit.map(|limit| limit.saturating_sub(spent_before));
        // Set once, by the worker.
        let _ = self.clock.set(Clock {
            started,
            spent_before,
            deadline: left.and_then(|left| started.checked_add(left)),
        });
    }

    /// Time of training over all attempts.
    #[must_use]
    pub fn spent(&self) -> Duration {
        match self.clock.get() {
            Some(clock) => clock.spent_before + clock.started.elapsed(),
            None => Duration::from_micros(self.reported_us.load(Ordering::Relaxed)),
        }
    }

    /// Sets the time of training of a job that another process trains.
    pub(super) fn set_spent(&self, spent: Duration) {
        let micros = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
        self.reported_us.store(micros, Ordering::Relaxed);
    }

    /// Why a checkpoint is not published yet; `None` while nothing fails.
    #[must_use]
    pub fn publishing(&self) -> Option<Publishing> {
        self.publishing.borrow().clone()
    }

    pub(super) fn set_publishing(&self, publishing: Option<Publishing>) {
        self.publishing.send_replace(publishing);
    }

    /// Waits until a checkpoint waits for a storage that fails.
    pub(super) async fn outage_begins(&self) {
        let mut publishing = self.publishing.subscribe();
        // The sender is as old as this job.
        let _ = publishing.wait_for(Option::is_some).await;
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

/// All jobs that run, by id.
#[derive(Debug, Default)]
pub struct RunningJobs(Mutex<HashMap<JobId, Arc<RunningJob>>>);

impl RunningJobs {
    /// The job, or `None` where it does not run.
    #[must_use]
    pub fn get(&self, job: JobId) -> Option<Arc<RunningJob>> {
        self.lock().get(&job).cloned()
    }

    /// How long the oldest of the checkpoints that wait for a failing storage has waited.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        let jobs = self.lock();
        let waiting = jobs.values().filter_map(|job| job.publishing());
        let since_us = waiting.map(|publishing| publishing.since_us).min();
        let waited_us = since_us.map_or(0, |since| now_us().saturating_sub(since));
        Duration::from_micros(u64::try_from(waited_us).unwrap_or_default())
    }

    pub(super) fn add(&self, job: JobId) -> Arc<RunningJob> {
        let running = Arc::<RunningJob>::default();
        self.lock().insert(job, Arc::clone(&running));
        running
    }

    pub(super) fn remove(&self, job: JobId) {
        self.lock().remove(&job);
    }

    pub(super) fn stop_all(&self, reason: StopReason) {
        for running in self.lock().values() {
            running.stop(reason);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Arc<RunningJob>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stop_reason_counts() {
        let job = RunningJob::default();
        assert!(!job.should_stop());
        job.stop(StopReason::Cancel);
        job.stop(StopReason::Shutdown);
        assert!(job.should_stop());
        assert_eq!(job.stop_reason(), Some(StopReason::Cancel));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_the_stop_ends_with_any_reason() {
        let second = Duration::from_secs(1);
        let job = RunningJob::default();
        let wait = tokio::time::timeout(second, job.stopped());
        assert!(wait.await.is_err(), "it goes on");
        job.stop(StopReason::Cancel);
        job.stopped().await;

        let job = RunningJob::default();
        job.start_clock(Duration::ZERO, Some(second));
        job.stopped().await;
        assert_eq!(job.stop_reason(), Some(StopReason::Deadline));
    }

    #[test]
    fn deadlines_count_earlier_attempts() {
        let (hour, second) = (Duration::from_secs(3_600), Duration::from_secs(1));
        for (spent_before, limit, late) in [
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
            job.start_clock(spent_before, limit);
            assert_eq!(job.should_stop(), late, "{spent_before:?} {limit:?}");
            assert_eq!(job.stop_reason(), late.then_some(StopReason::Deadline));
            assert!(job.spent() >= spent_before);
        }
    }
}
