//! What is counted of pushing curves by remote write. It is there without an address to push to as well, and then 0.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use std::sync::Arc;

const PUSHED: &str = "digits_trainer_remote_write_samples_pushed_total";
const DROPPED: &str = "digits_trainer_remote_write_samples_dropped_total";
const BACKLOG: &str = "digits_trainer_remote_write_backlog_samples";

/// Why samples did not get to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// They came faster than they could be taken.
    QueueFull,
    /// The receiver was away for so long that newer ones needed their place.
    BacklogFull,
    /// The receiver will not have them.
    Refused,
    /// The receiver answered with an error each time.
    Failed,
    /// The receiver was away until they were too old.
    Expired,
    /// The clock was set back, and they would lie in the future: one such sample can block all others.
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
    /// Looks the handles up; call it after the recorder was installed.
    #[must_use]
    pub fn new() -> Self {
        describe_counter!(PUSHED, "samples of curves that the receiver took");
        describe_counter!(DROPPED, "samples of curves that it did not get, by reason");
        describe_gauge!(BACKLOG, "samples of curves that wait for their push");
        let dropped = |reason: DropReason| (reason, counter!(DROPPED, "reason" => reason.as_str()));
        Self {
            pushed: counter!(PUSHED),
            dropped: DropReason::ALL.into_iter().map(dropped).collect(),
            backlog: gauge!(BACKLOG),
        }
    }

    /// The receiver took samples.
    pub fn pushed(&self, samples: u64) {
        self.pushed.increment(samples);
    }

    /// Samples were dropped.
    pub fn dropped(&self, reason: DropReason, samples: u64) {
        if let Some((_, count)) = self.dropped.iter().find(|(one, _)| *one == reason) {
            count.increment(samples);
        }
    }

    /// So many samples wait.
    pub fn waiting(&self, samples: u64) {
        self.backlog.set(samples as f64);
    }
}

impl Default for PushMetrics {
    fn default() -> Self {
        Self::new()
    }
}
