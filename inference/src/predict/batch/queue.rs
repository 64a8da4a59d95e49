//! A bounded queue without a timer: a free worker takes what waits, so batches grow with the load.
//!
//! Clients that wait share the workers equally. Items whose deadline has passed or whose request was
//! cancelled are dropped in their turn. Small requests are computed inline
//! ([`BatchQueue::runs_inline`]).

use super::{
    fair::Weight,
    handoff,
    waiting::{Queued, Response, Shared, Waiting},
    worker,
};
use crate::{engine::Network, metrics::QueueMetrics, predict::pixels::Pixels};
use digits_telemetry::supervisor::{Supervisor, Task};
use std::{io, sync::Arc, thread::available_parallelism, time::Instant};
use tokio::sync::oneshot;

pub use super::waiting::{QueueError, WorkItem};

/// Items for which room is allocated at the start, at most.
const MAX_PREALLOCATED: usize = 1 << 10;

/// Limits of the queue, and of what is computed inline.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Maximum number of requests that wait.
    pub max_requests: usize,
    /// Maximum size of their images. A single request that is larger may wait alone.
    pub max_bytes: usize,
    /// Limits of requests that bypass the queue.
    pub inline: InlineLimits,
}

/// Limits of requests that are computed inline. Others go to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InlineLimits {
    /// Maximum multiply-adds of all images of a request: more would hold a runtime thread too long.
    pub max_request_multiply_adds: usize,
    /// Maximum multiply-adds of one image: with more, a batch saves more than the queue costs.
    pub max_image_multiply_adds: usize,
}

impl Default for InlineLimits {
    /// About 0.5 ms of one core for a request, and networks of up to 8 MB of weights.
    fn default() -> Self {
        Self {
            max_request_multiply_adds: 20_000_000,
            max_image_multiply_adds: 2_000_000,
        }
    }
}

/// The queue. When it is dropped, its workers compute what waits and end.
pub struct BatchQueue {
    shared: Arc<Shared>,
    limits: QueueLimits,
}

impl BatchQueue {
    /// An empty queue without workers; measures the cost of a handoff for the metrics.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub fn new(limits: QueueLimits) -> io::Result<Self> {
        let metrics = QueueMetrics::new();
        metrics.handoff.set(handoff::measure()?.as_secs_f64());
        metrics.capacity.set(limits.max_requests as f64);
        let capacity = limits.max_requests.min(MAX_PREALLOCATED);
        Ok(Self {
            shared: Arc::new(Shared::new(metrics, capacity)),
            limits,
        })
    }

    /// Starts a worker for each core. A worker survives a panic of the engine; any other panic may
    /// have left the queue inconsistent, and fails liveness.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub fn start(&self, supervisor: &Supervisor) -> io::Result<()> {
        let workers = available_parallelism().map_or(1, |cores| cores.get());
        for worker in 0..workers {
            let shared = Arc::clone(&self.shared);
            let task = Task::instance("compute", worker);
            supervisor.watch_thread(task, move || worker::run(&shared))?;
        }
        let limits = self.limits;
        tracing::info!(workers, ?limits, "batch queue started");
        Ok(())
    }

    /// Whether the images are few and the network is small enough to be computed inline.
    #[must_use]
    pub fn runs_inline(&self, network: &Network, pixels: &Pixels) -> bool {
        let limits = self.limits.inline;
        let image = network.multiply_adds();
        let images = pixels.len() / network.inputs();
        image <= limits.max_image_multiply_adds
            && image.saturating_mul(images) <= limits.max_request_multiply_adds
    }

    /// Whether an item may wait too: within the limits, and so that others find room.
    fn has_room(&self, waiting: &Waiting, weight: Weight) -> bool {
        if waiting.items.is_empty() {
            return self.limits.max_requests > 0;
        }
        let items = self.limits.max_requests.saturating_sub(waiting.items.len());
        let bytes = self.limits.max_bytes.saturating_sub(waiting.bytes);
        let fits = items > 0 && weight.bytes <= bytes;
        fits && waiting.order.leaves_room(weight.client, items, bytes)
    }

    /// Queues the images; dropping the receiver cancels them.
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`].
    pub fn submit(&self, item: WorkItem) -> Result<oneshot::Receiver<Response>, QueueError> {
        let Shared {
            metrics, arrived, ..
        } = &*self.shared;
        let (response, receiver) = oneshot::channel();
        let (weight, since) = (item.weight(), Instant::now());
        let mut waiting = self.shared.waiting();
        if !self.has_room(&waiting, weight) {
            drop(waiting);
            metrics.full.increment(1);
            return Err(QueueError::Full);
        }
        let start = waiting.order.add(weight);
        let at = waiting.items.partition_point(|it| it.start <= start);
        let queued = Queued {
            item,
            response,
            since,
            start,
        };
        waiting.items.insert(at, queued);
        waiting.bytes += weight.bytes;
        metrics.requests.set(waiting.items.len() as f64);
        drop(waiting);
        arrived.notify_one();
        Ok(receiver)
    }
}

impl Drop for BatchQueue {
    fn drop(&mut self) {
        self.shared.waiting().is_closed = true;
        self.shared.arrived.notify_all();
    }
}
