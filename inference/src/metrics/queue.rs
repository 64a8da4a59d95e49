//! Metrics of the inference queue. Waits are recorded by role, in [`super::RoleMetrics`].

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Handles of the queue.
pub struct QueueMetrics {
    /// Requests computed together.
    pub batch: Histogram,
    /// Requests that wait.
    pub requests: Gauge,
    /// Requests that may wait.
    pub capacity: Gauge,
    /// Seconds that handing work to another thread and back takes.
    pub handoff: Gauge,
    /// Requests refused because the queue was full.
    pub full: Counter,
    /// Requests dropped because their deadline was exceeded.
    pub overdue: Counter,
    /// Requests dropped because their client was gone.
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
