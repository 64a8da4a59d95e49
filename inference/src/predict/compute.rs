//! The network: inline for a small request, in the batch queue for a large one.

use super::{
    batch::{BatchQueue, QueueError, WorkItem},
    context::PredictContext,
    logits,
    pixels::Pixels,
    route::SelectedRoute,
};
use crate::model::ActiveRoute;
use std::{sync::Arc, time::Instant};

/// Logits of the images by the selected route, [n, classes]. A failure is counted.
///
/// # Errors
///
/// When the queue is full, the deadline passed before a worker was free, or the engine failed.
pub async fn compute(
    selected: SelectedRoute<'_>,
    pixels: &Pixels,
    queue: &BatchQueue,
    context: &PredictContext,
) -> Result<Vec<f32>, QueueError> {
    let route = selected.route;
    // Blank pictures and several digits need no network, so they need no place in the queue.
    if pixels.is_empty() {
        return Ok(Vec::new());
    }
    if queue.runs_inline(&route.checkpoint.network, pixels) {
        return Ok(inline(route, pixels));
    }
    // Boxed, so that the future of a small request is small.
    Box::pin(queued(route, pixels, queue, context)).await
}

async fn queued(
    route: &ActiveRoute,
    pixels: &Pixels,
    queue: &BatchQueue,
    context: &PredictContext,
) -> Result<Vec<f32>, QueueError> {
    let item = WorkItem {
        checkpoint: Arc::clone(&route.checkpoint),
        metrics: Arc::clone(&route.metrics),
        pixels: pixels.clone(),
        deadline: context.deadline.instant(),
        client: context.client,
    };
    let logits = match queue.submit(item) {
        // Without a response the engine panicked.
        Ok(response) => response.await.unwrap_or(Err(QueueError::EngineFailed)),
        Err(error) => Err(error),
    };
    logits.inspect_err(|&error| route.metrics.failed(context.method, error.into()))
}

fn inline(route: &ActiveRoute, pixels: &Pixels) -> Vec<f32> {
    let start = Instant::now();
    let logits = logits::of(&route.checkpoint.network, pixels);
    route.metrics.computed(start.elapsed());
    logits
}
