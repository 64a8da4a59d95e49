//! What the queue of large work counts, but for the waits: those are told by part, as [`super::RoleMetrics`].

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

/// Handles of the queue.
pub struct QueueMetrics {
    /// Requests that were computed together.
    pub batch: Histogram,
    /// Requests that wait.
    pub requests: Gauge,
    /// Requests that may wait.
    pub capacity: Gauge,
    /// Seconds that handing work over costs.
    pub handoff: Gauge,
    /// Refused, as too much waited.
    pub full: Counter,
    /// Dropped, as their deadline was over.
    pub overdue: Counter,
    /// Dropped, as nobody waited any more.
    pub abandoned: Counter,
}

impl QueueMetrics {
    /// Looks the handles up.
    #[must_use]
    pub fn new() -> Self {
        let not_computed = |reason: &'static str| counter!("digits_inference_queue_not_computed_total", "reason" => reason);
        Self {
            batch: histogram!("digits_inference_queue_batch_requests"),
            requests: gauge!("digits_inference_queue_requests"),
            capacity: gauge!("digits_inference_queue_capacity"),
            handoff: gauge!("digits_inference_queue_handoff_seconds"),
            full: not_computed("full"),
            overdue: not_computed("overdue"),
            abandoned: not_computed("abandoned"),
        }
    }
}

impl Default for QueueMetrics {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn describe() {
    describe_histogram!(
        "digits_inference_queue_batch_requests",
        Unit::Count,
        "requests computed together; its count is that of batches"
    );
    describe_gauge!(
        "digits_inference_queue_requests",
        Unit::Count,
        "requests that wait"
    );
    describe_gauge!(
        "digits_inference_queue_capacity",
        Unit::Count,
        "requests that may wait"
    );
    describe_gauge!(
        "digits_inference_queue_handoff_seconds",
        Unit::Seconds,
        "what handing work to another thread and back costs, as measured at the start"
    );
    describe_counter!(
        "digits_inference_queue_not_computed_total",
        Unit::Count,
        "requests that were refused by the queue or dropped from it, by reason"
    );
}
