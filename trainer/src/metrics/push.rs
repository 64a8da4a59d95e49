//! Metrics of the remote write of curves. They exist, as 0, without --remote-write too.

use metrics::{Counter, Gauge, counter, gauge};
use std::sync::Arc;

const PUSHED: &str = "digits_trainer_remote_write_samples_pushed_total";
const DROPPED: &str = "digits_trainer_remote_write_samples_dropped_total";
const BACKLOG: &str = "digits_trainer_remote_write_backlog_samples";

/// The label `reason` of dropped samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Stays 0: earlier versions had a second queue, to the push thread.
    QueueFull,
    /// The queue was full; the oldest samples are dropped.
    BacklogFull,
    /// The receiver refused them.
    Refused,
    /// The receiver responded with an error at each attempt.
    Failed,
    /// The receiver was unreachable until they were too old.
    Expired,
    /// The clock was set back, and they would lie in the future: one such sample can block all
    /// others.
    Clock,
    /// The process ended.
    Shutdown,
}

impl DropReason {
    const ALL: [Self; 7] = [
        Self::QueueFull,
        Self::BacklogFull,
        Self::Refused,
        Self::Failed,
        Self::Expired,
        Self::Clock,
        Self::Shutdown,
    ];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::BacklogFull => "backlog_full",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Clock => "clock",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Handles; cheap to clone.
#[derive(Clone)]
pub struct PushMetrics {
    pushed: Counter,
    dropped: Arc<[(DropReason, Counter)]>,
    backlog: Gauge,
}

impl PushMetrics {
    /// Looks the handles up. Call it after the recorder was installed.
    #[must_use]
    pub fn new() -> Self {
        let dropped = |reason: DropReason| (reason, counter!(DROPPED, "reason" => reason.as_str()));
        Self {
            pushed: counter!(PUSHED),
            dropped: DropReason::ALL.into_iter().map(dropped).collect(),
            backlog: gauge!(BACKLOG),
        }
    }

    /// The receiver accepted samples.
    pub fn pushed(&self, samples: u64) {
        self.pushed.increment(samples);
    }

    /// Samples were dropped.
    pub fn dropped(&self, reason: DropReason, samples: u64) {
        if let Some((_, count)) = self.dropped.iter().find(|(one, _)| *one == reason) {
            count.increment(samples);
        }
    }

    /// Sets the number of samples that wait to be pushed.
    pub fn waiting(&self, samples: u64) {
        self.backlog.set(samples as f64);
    }
}

impl Default for PushMetrics {
    fn default() -> Self {
        Self::new()
    }
}
