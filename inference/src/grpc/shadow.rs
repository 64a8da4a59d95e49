//! Shadows: candidates that compute along with what is answered, and never answer.
//!
//! One thread of the process works through copies of the requests, after their answers were computed; what it has no room for
//! is left out and counted. So shadows cost at most one core and a bounded memory, and no request waits for them.

use crate::{
    engine::probability::most_probable,
    logits,
    metrics::AnswerMetrics,
    model::{ActiveRoute, ServingSnapshot},
    pixels::Pixels,
    routing::RouteIndex,
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

/// Requests that may wait.
const WAITING: usize = 256;
/// Bytes of their images, over all that wait.
const WAITING_BYTES: usize = 64 << 20;

/// A request that was answered.
struct Answered {
    serving: Arc<ServingSnapshot>,
    /// Of its model.
    metrics: Arc<AnswerMetrics>,
    pixels: Pixels,
    /// Most probable label of each image by who answered.
    labels: Vec<usize>,
    bytes: usize,
}

/// The shadows' thread; it ends when this is dropped.
pub(super) struct Shadows {
    requests: SyncSender<Answered>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Shadows {
    /// A panic of the engine costs the request that it fell into; then the thread goes on. It never
    /// fails liveness: no answer depends on shadows.
    ///
    /// # Errors
    ///
    /// When there can be no further thread.
    pub(super) fn start(supervisor: &Supervisor, shutdown: CancellationToken) -> io::Result<Self> {
        let (requests, receiver) = sync_channel(WAITING);
        let waiting_bytes = Arc::<AtomicUsize>::default();
        let done = Arc::clone(&waiting_bytes);
        let stopping = move || shutdown.is_cancelled();
        supervisor.restart_thread(Task::new("shadow"), stopping, move || {
            work(&receiver, &done);
        })?;
        Ok(Self {
            requests,
            waiting_bytes,
        })
    }

    /// Hands over a request that was just answered; nothing is copied where there are no shadows.
    pub(super) fn follow(
        &self,
        serving: &Arc<ServingSnapshot>,
        choice: RouteIndex,
        pixels: &Pixels,
        logits: &[f32],
        metrics: &Arc<AnswerMetrics>,
    ) {
        if pixels.is_empty() || serving.shadows().next().is_none() {
            return;
        }
        let bytes = pixels.size_bytes();
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let classes = serving.served(choice).checkpoint.network.classes();
        let sent = waiting + bytes <= WAITING_BYTES
            && self
                .requests
                .try_send(Answered {
                    serving: Arc::clone(serving),
                    metrics: Arc::clone(metrics),
                    pixels: pixels.clone(),
                    labels: logits.chunks_exact(classes).map(most_probable).collect(),
                    bytes,
                })
                .is_ok();
        if !sent {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            metrics.shadow_dropped.increment(1);
        }
    }
}

fn work(requests: &Receiver<Answered>, waiting_bytes: &AtomicUsize) {
    for answered in requests {
        // Before the engine, which may panic.
        waiting_bytes.fetch_sub(answered.bytes, Ordering::Relaxed);
        for shadow in answered.serving.shadows() {
            compare(shadow, &answered);
        }
    }
}

fn compare(shadow: &ActiveRoute, answered: &Answered) {
    let network = &shadow.checkpoint.network;
    let start = Instant::now();
    let Some(logits) = logits::in_slices(network, &answered.pixels, || false) else {
        return;
    };
    shadow.metrics.compute.record(start.elapsed().as_secs_f64());
    let mut classifier = shadow.classifier(&answered.pixels);
    let mut probabilities = vec![0.0; network.classes()];
    for (logits, &label) in logits.chunks_exact(network.classes()).zip(&answered.labels) {
        let classification = classifier.image(logits, &mut probabilities);
        shadow.metrics.predicted(classification.label);
        if classification.label == label {
            answered.metrics.shadow_same.increment(1);
        } else {
            answered.metrics.shadow_different.increment(1);
        }
    }
}
