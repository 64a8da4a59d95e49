//! Metrics of attempts, wherever they run, and of workers that do not run yet.

use super::labels::AttemptEndLabel;
use crate::job::WaitCause;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::{sync::Arc, time::Duration};

/// Handles; cheap to clone.
#[derive(Clone)]
pub struct AttemptMetrics {
    ended: Arc<[(AttemptEndLabel, Counter)]>,
    waiting: Arc<[(WaitCause, Gauge)]>,
    queued: Histogram,
}

impl AttemptMetrics {
    pub(super) fn new() -> Self {
        let ended = |outcome: AttemptEndLabel| {
            let name = outcome.as_str();
            (
                outcome,
                counter!("digits_trainer_attempts_ended_total", "outcome" => name),
            )
        };
        let waiting = |cause: WaitCause| {
            let name = cause.as_str();
            (
                cause,
                gauge!("digits_trainer_workers_waiting", "cause" => name),
            )
        };
        Self {
            ended: AttemptEndLabel::ALL.into_iter().map(ended).collect(),
            waiting: WaitCause::ALL.into_iter().map(waiting).collect(),
            queued: histogram!("digits_trainer_job_queue_duration_seconds"),
        }
    }

    /// An attempt ended.
    pub fn ended(&self, outcome: AttemptEndLabel) {
        for (_, counter) in self.ended.iter().filter(|(it, _)| *it == outcome) {
            counter.increment(1);
        }
    }

    /// Sets the number of workers that do not run yet, by cause.
    pub fn waiting(&self, counts: &[(WaitCause, u64)]) {
        for (cause, gauge) in self.waiting.iter() {
            let count = counts.iter().find(|(counted, _)| counted == cause);
            gauge.set(count.map_or(0, |(_, count)| *count) as f64);
        }
    }

    /// The first training of a job began, this long after the job was accepted.
    pub fn queued(&self, waited: Duration) {
        self.queued.record(waited.as_secs_f64());
    }
}
