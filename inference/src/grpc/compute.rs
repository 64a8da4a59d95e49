//! Where a request is computed: the network where it arrived or in the queue, pictures and the like on a bounded pool.

use crate::{
    logits,
    model::{ActiveRoute, ServingSnapshot},
    pixels::Pixels,
    queue::{Queue, QueueError, Work},
    routing::RouteIndex,
};
use digits_server::{Deadline, retry_status};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::available_parallelism,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use tonic::Status;

/// When a request that found the queue full may come again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Runs long work on blocking threads, as many at a time as there are cores; more wait in turn. The server's limit of requests
/// in flight bounds how many can wait.
pub(super) struct Pool {
    permits: Arc<Semaphore>,
}

/// Tells long work that nobody waits for it any more.
#[derive(Clone)]
pub(super) struct CancelFlag {
    flag: Arc<AtomicBool>,
    deadline: Deadline,
}

impl CancelFlag {
    /// Whether to stop.
    pub(super) fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed) || self.deadline.is_over()
    }
}

/// Sets the flag when the request's future is dropped: the client went away.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new() -> Self {
        let cores = available_parallelism().map_or(1, |cores| cores.get());
        Self {
            permits: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Runs `work` off the runtime's threads.
    ///
    /// # Errors
    ///
    /// DEADLINE_EXCEEDED when its turn came too late, INTERNAL when it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl FnOnce(&CancelFlag) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Status::unavailable("the server is shutting down"))?;
        deadline.check()?;
        let flag = Arc::new(AtomicBool::new(false));
        let _set = SetOnDrop(Arc::clone(&flag));
        let abandoned = CancelFlag { flag, deadline };
        let task = tokio::task::spawn_blocking(move || {
            // Held until the work is really over, also when the request was given up.
            let _permit = permit;
            work(&abandoned)
        });
        task.await.map_err(|error| {
            tracing::error!(%error, "work on a request panicked");
            Status::internal("the request failed; see the server's log")
        })
    }
}

/// Logits of the images by the chosen route, [n, classes].
///
/// # Errors
///
/// When too much waits, its turn came too late, or the engine failed.
pub(super) async fn logits(
    queue: &Queue,
    serving: &ServingSnapshot,
    choice: RouteIndex,
    pixels: &Pixels,
    deadline: Deadline,
) -> Result<Vec<f32>, QueueError> {
    let served = serving.served(choice);
    let network = &served.checkpoint.network;
    let images = pixels.len() / network.inputs();
    if queue.in_place(network, images) {
        return Ok(in_place(served, pixels));
    }
    let work = Work {
        checkpoint: Arc::clone(&served.checkpoint),
        metrics: Arc::clone(&served.metrics),
        pixels: pixels.clone(),
        deadline: deadline.instant(),
    };
    let answer = queue.submit(work)?;
    answer.await.unwrap_or(Err(QueueError::Failed))
}

fn in_place(served: &ActiveRoute, pixels: &Pixels) -> Vec<f32> {
    if pixels.is_empty() {
        return Vec::new();
    }
    let start = Instant::now();
    let logits = logits::at_once(&served.checkpoint.network, pixels);
    served.metrics.compute.record(start.elapsed().as_secs_f64());
    logits
}

/// RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED or INTERNAL.
pub(super) fn status(error: QueueError) -> Status {
    match error {
        QueueError::Full => retry_status("too much work waits; try again", RETRY_AFTER),
        QueueError::Overdue => deadline_exceeded(),
        QueueError::Failed => Status::internal("the request failed; see the server's log"),
    }
}

/// What is told of work that was given up.
pub(super) fn deadline_exceeded() -> Status {
    Status::deadline_exceeded("given up: nobody waits for the answer any more")
}
