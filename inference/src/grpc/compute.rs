//! Where the network is computed: small work where the request arrived, large work on a bounded pool.

use super::deadline::Deadline;
use crate::{
    engine::Pixel,
    model::{Served, Serving},
    pixels::Pixels,
    routing::Choice,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::available_parallelism,
    time::Instant,
};
use tokio::sync::Semaphore;
use tonic::Status;

/// Work that is estimated to take longer leaves the runtime's thread, in nanoseconds.
const IN_PLACE_NANOSECONDS: f64 = 300_000.0;
/// Nanoseconds of work between two looks at whether it is still wanted.
const SLICE_NANOSECONDS: f64 = 5_000_000.0;

/// Runs long work on blocking threads, as many at a time as there are cores; more wait in turn. The server's limit of requests
/// in flight bounds how many can wait.
pub(super) struct Pool {
    permits: Arc<Semaphore>,
}

/// Tells long work that nobody waits for it any more.
#[derive(Clone)]
pub(super) struct Abandoned {
    flag: Arc<AtomicBool>,
    deadline: Deadline,
}

impl Abandoned {
    /// Whether to stop.
    pub(super) fn is_so(&self) -> bool {
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
        work: impl FnOnce(&Abandoned) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| Status::unavailable("the server is shutting down"))?;
        deadline.check()?;
        let flag = Arc::new(AtomicBool::new(false));
        let _set = SetOnDrop(Arc::clone(&flag));
        let abandoned = Abandoned { flag, deadline };
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
/// As [`Pool::run`].
pub(super) async fn logits(
    pool: &Pool,
    serving: &Arc<Serving>,
    choice: Choice,
    pixels: &Pixels,
    deadline: Deadline,
) -> Result<Vec<f32>, Status> {
    let served = serving.served(choice);
    let checkpoint = &served.checkpoint;
    let images = pixels.len() / checkpoint.network.inputs();
    if images as f64 * checkpoint.nanoseconds_per_image <= IN_PLACE_NANOSECONDS {
        return Ok(at_once(served, pixels));
    }
    let (serving, pixels) = (Arc::clone(serving), pixels.clone());
    pool.run(deadline, move |abandoned| {
        let logits = in_slices(serving.served(choice), &pixels, || abandoned.is_so());
        logits.ok_or_else(given_up)
    })
    .await?
}

/// What is told of work that was given up.
pub(super) fn given_up() -> Status {
    Status::deadline_exceeded("given up: nobody waits for the answer any more")
}

fn at_once(served: &Served, pixels: &Pixels) -> Vec<f32> {
    let network = &served.checkpoint.network;
    let images = pixels.len() / network.inputs();
    let mut logits = vec![0.0; images * network.classes()];
    if images > 0 {
        let start = Instant::now();
        match pixels {
            Pixels::Bytes(bytes) => network.logits(bytes, &mut logits),
            Pixels::Floats(floats) => network.logits(floats, &mut logits),
        }
        served.metrics.compute.record(start.elapsed().as_secs_f64());
    }
    logits
}

/// The same in slices, between which it is given up when `stop` says so: then there is nothing.
pub(super) fn in_slices(
    served: &Served,
    pixels: &Pixels,
    stop: impl Fn() -> bool,
) -> Option<Vec<f32>> {
    match pixels {
        Pixels::Bytes(bytes) => slices(served, bytes, stop),
        Pixels::Floats(floats) => slices(served, floats, stop),
    }
}

fn slices<P: Pixel>(served: &Served, pixels: &[P], stop: impl Fn() -> bool) -> Option<Vec<f32>> {
    let checkpoint = &served.checkpoint;
    let network = &checkpoint.network;
    let images = pixels.len() / network.inputs();
    let slice = (SLICE_NANOSECONDS / checkpoint.nanoseconds_per_image).clamp(64.0, 4096.0) as usize;
    let mut logits = vec![0.0; images * network.classes()];
    let start = Instant::now();
    let outputs = logits.chunks_mut(slice * network.classes());
    for (pixels, logits) in pixels.chunks(slice * network.inputs()).zip(outputs) {
        if stop() {
            return None;
        }
        network.logits(pixels, logits);
    }
    served.metrics.compute.record(start.elapsed().as_secs_f64());
    Some(logits)
}
