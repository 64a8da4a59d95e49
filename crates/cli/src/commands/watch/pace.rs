//! Estimates when a job that is being watched ends, from the steps since the watch began.

use std::time::{Duration, Instant};

/// Steps and time since a watch began, or since the job last went on. Rows of the past, which a
/// watch receives first and all at once, do not count.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Steps of the whole job.
    steps: u64,
    /// Newest step that the job had completed, and when the watch learned of it.
    newest: Point,
    /// Where the measurement begins; `None` while the job waits.
    start: Option<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    step: u64,
    at: Instant,
}

impl Pace {
    /// A watch that begins now, of a job at this step.
    pub fn new(step: u64, steps: u64, running: bool, now: Instant) -> Self {
        let newest = Point { step, at: now };
        Self {
            steps,
            newest,
            start: running.then_some(newest),
        }
    }

    /// The job has completed a step. Steps that are known already are of the past.
    pub fn at_step(&mut self, step: u64, now: Instant) {
        if step > self.newest.step {
            self.newest = Point { step, at: now };
            self.start.get_or_insert(self.newest);
        }
    }

    /// The job waits, or the trainer is away: the measurement begins anew with the next step.
    pub fn pause(&mut self) {
        self.start = None;
    }

    /// Time until the last step at the pace since the start; `None` before there is one.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        let start = self.start?;
        let done = self
            .newest
            .step
            .checked_sub(start.step)
            .filter(|&it| it > 0)?;
        let left = self.steps.checked_sub(self.newest.step)?;
        let took = self.newest.at.duration_since(start.at).as_secs_f64();
        let total = Duration::try_from_secs_f64(took / done as f64 * left as f64).ok()?;
        Some(total.saturating_sub(now.duration_since(self.newest.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pace: &Pace, now: Instant) -> Option<u64> {
        pace.remaining(now).map(|it| it.as_secs())
    }

    #[test]
    fn rows_of_the_past_do_not_count() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        // Watched again at step 600 of 1,000, whose rows arrive at once.
        let mut pace = Pace::new(600, 1_000, true, began);
        for step in [200, 400, 600] {
            pace.at_step(step, began);
        }
        assert_eq!(seconds(&pace, began), None, "no step since the watch began");
        pace.at_step(700, after(10));
        assert_eq!(seconds(&pace, after(10)), Some(30));
        assert_eq!(
            seconds(&pace, after(15)),
            Some(25),
            "counts down between rows"
        );
        assert_eq!(seconds(&pace, after(99)), Some(0));
        pace.at_step(800, after(30));
        assert_eq!(seconds(&pace, after(30)), Some(30));
        pace.at_step(1_000, after(50));
        assert_eq!(seconds(&pace, after(50)), Some(0));
    }

    #[test]
    fn time_in_the_queue_and_without_the_trainer_does_not_count() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut pace = Pace::new(0, 1_000, false, began);
        pace.at_step(1, after(500));
        assert_eq!(seconds(&pace, after(500)), None);
        pace.at_step(101, after(510));
        assert_eq!(seconds(&pace, after(510)), Some(89));
        pace.pause();
        assert_eq!(seconds(&pace, after(600)), None);
        // Resumed from a snapshot of the training state: known steps again, then new ones.
        pace.at_step(51, after(700));
        pace.at_step(201, after(800));
        assert_eq!(seconds(&pace, after(800)), None);
        pace.at_step(301, after(805));
        assert_eq!(seconds(&pace, after(805)), Some(34));
    }
}
