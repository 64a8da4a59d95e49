//! Shadows: candidates that compute the requests too, and never respond.
//!
//! One thread of the process computes copies of the requests, after their responses; requests for
//! which there is no room are dropped and counted. So shadows cost at most one core and a bounded
//! memory, and no request waits for them.

use super::{
    classify::{Classification, classify},
    logits,
    pixels::Pixels,
    route::SelectedRoute,
};
use crate::{
    metrics::AnswerMetrics,
    model::{ActiveRoute, ServingSnapshot},
};
use digits_telemetry::supervisor::{Supervisor, Task};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Maximum number of requests that wait.
const MAX_REQUESTS: usize = 256;
/// Maximum size of the images of all requests that wait.
const MAX_BYTES: usize = 64 << 20;

/// A request that was classified.
struct ShadowRequest {
    snapshot: Arc<ServingSnapshot>,
    /// Metrics of the model.
    metrics: Arc<AnswerMetrics>,
    pixels: Pixels,
    /// Labels of the response.
    labels: Vec<Classification>,
    bytes: usize,
}

/// The queue of the shadows' thread, which ends when this is dropped.
pub struct ShadowQueue {
    requests: SyncSender<ShadowRequest>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl ShadowQueue {
    /// Starts the thread. A panic of the engine loses one request, and the thread continues. It
    /// never fails liveness, since no response depends on shadows.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(supervisor: &Supervisor, shutdown: CancellationToken) -> io::Result<Self> {
        let (requests, receiver) = sync_channel(MAX_REQUESTS);
        let waiting_bytes = Arc::<AtomicUsize>::default();
        let bytes = Arc::clone(&waiting_bytes);
        let stopping = move || shutdown.is_cancelled();
        supervisor.restart_thread(Task::new("shadow"), stopping, move || {
            run(&receiver, &bytes);
        })?;
        Ok(Self {
            requests,
            waiting_bytes,
        })
    }

    /// Queues a request that was classified; nothing is copied without shadows.
    pub fn enqueue(&self, selected: SelectedRoute<'_>, pixels: &Pixels, labels: &[Classification]) {
        let SelectedRoute {
            model, snapshot, ..
        } = selected;
        if pixels.is_empty() || snapshot.shadows().next().is_none() {
            return;
        }
        let bytes = pixels.size_bytes();
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let request = || ShadowRequest {
            snapshot: Arc::clone(snapshot),
            metrics: Arc::clone(&model.answers),
            pixels: pixels.clone(),
            labels: labels.to_vec(),
            bytes,
        };
        let queued = waiting + bytes <= MAX_BYTES && self.requests.try_send(request()).is_ok();
        if !queued {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            model.answers.shadow_dropped.increment(1);
        }
    }
}

fn run(requests: &Receiver<ShadowRequest>, waiting_bytes: &AtomicUsize) {
    for request in requests {
        // Before the engine, which may panic.
        waiting_bytes.fetch_sub(request.bytes, Ordering::Relaxed);
        for shadow in request.snapshot.shadows() {
            compare(shadow, &request);
        }
    }
}

fn compare(shadow: &ActiveRoute, request: &ShadowRequest) {
    let start = Instant::now();
    let network = &shadow.checkpoint.network;
    let Some(logits) = logits::in_slices(network, &request.pixels, || false) else {
        return;
    };
    shadow.metrics.computed(start.elapsed());
    let classified = classify(shadow, &request.pixels, &logits);
    for (own, response) in classified.labels.iter().zip(&request.labels) {
        shadow.metrics.predicted(own.label);
        if own.label == response.label {
            request.metrics.shadow_same.increment(1);
        } else {
            request.metrics.shadow_different.increment(1);
        }
    }
}
