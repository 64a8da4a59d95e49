//! Metrics of the experiment trackers. They exist, as 0, without a tracker too.

use metrics::{Counter, Gauge, counter, gauge};
use std::{sync::Arc, time::Duration};

/// The label `tracker`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackerLabel {
    /// MLflow.
    Mlflow,
    /// Event files of TensorBoard.
    Tensorboard,
}

impl TrackerLabel {
    const ALL: [Self; 2] = [Self::Mlflow, Self::Tensorboard];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mlflow => "mlflow",
            Self::Tensorboard => "tensorboard",
        }
    }
}

/// Handles of all trackers; cheap to clone.
#[derive(Clone)]
pub struct AllTrackerMetrics(Arc<[(TrackerLabel, TrackerMetrics)]>);

impl AllTrackerMetrics {
    /// Looks the handles up. Call it after the recorder was installed.
    #[must_use]
    pub fn new() -> Self {
        let each = TrackerLabel::ALL.into_iter();
        Self(each.map(|it| (it, TrackerMetrics::new(it))).collect())
    }

    /// The handles of a tracker.
    #[must_use]
    pub fn of(&self, tracker: TrackerLabel) -> TrackerMetrics {
        let mut all = self.0.iter();
        let found = all.find(|(label, _)| *label == tracker);
        found.expect("each tracker has handles").1.clone()
    }
}

impl Default for AllTrackerMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Handles of one tracker; cheap to clone.
#[derive(Clone)]
pub struct TrackerMetrics {
    events: Counter,
    failures: Counter,
    dropped: Counter,
    waiting: Gauge,
    oldest: Gauge,
}

impl TrackerMetrics {
    fn new(tracker: TrackerLabel) -> Self {
        let tracker = tracker.as_str();
        Self {
            events: counter!("digits_trainer_tracker_events_total", "tracker" => tracker),
            failures: counter!("digits_trainer_tracker_attempt_failures_total", "tracker" => tracker),
            dropped: counter!("digits_trainer_tracker_dropped_total", "tracker" => tracker),
            waiting: gauge!("digits_trainer_tracker_jobs_waiting", "tracker" => tracker),
            oldest: gauge!("digits_trainer_tracker_oldest_waiting_seconds", "tracker" => tracker),
        }
    }

    /// The tracker has taken in events of jobs.
    pub fn taken(&self, events: u64) {
        self.events.increment(events);
    }

    /// An attempt failed and is repeated.
    pub fn attempt_failed(&self) {
        self.failures.increment(1);
    }

    /// The tracker refused something for good.
    pub fn dropped(&self) {
        self.dropped.increment(1);
    }

    /// Sets the number of jobs with events that wait, and the age of the oldest.
    pub fn waiting(&self, jobs: u64, oldest: Duration) {
        self.waiting.set(jobs as f64);
        self.oldest.set(oldest.as_secs_f64());
    }
}
