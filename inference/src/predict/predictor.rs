//! [`Predictor::predict`]: the stages of a prediction, in their order.

use super::{
    batch::BatchQueue,
    classify::classify,
    compute::compute,
    context::PredictContext,
    error::PredictError,
    input::PredictInput,
    limits::RequestLimits,
    picture_queue::PictureQueue,
    pool::BlockingPool,
    prediction::Prediction,
    preprocess::preprocess,
    read::read,
    route::{SelectedRoute, Target},
    shadow::ShadowQueue,
};
use digits_telemetry::supervisor::Supervisor;
use std::{io, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Classifies images with the models that are served. Cheap to clone; clones share the threads.
#[derive(Clone)]
pub struct Predictor {
    shared: Arc<Shared>,
}

struct Shared {
    limits: RequestLimits,
    pool: BlockingPool,
    pictures: PictureQueue,
    queue: BatchQueue,
    shadows: ShadowQueue,
}

impl Predictor {
    /// Starts the workers of the batch queue and the shadows' thread.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub fn start(
        limits: RequestLimits,
        supervisor: &Supervisor,
        shutdown: CancellationToken,
    ) -> io::Result<Self> {
        let queue = BatchQueue::new(limits.queue)?;
        queue.start(supervisor)?;
        let shared = Shared {
            limits,
            pool: BlockingPool::new(),
            pictures: PictureQueue::new(limits.picture_queue),
            queue,
            shadows: ShadowQueue::start(supervisor, shutdown)?,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Limits that a request is checked against before it is predicted.
    #[must_use]
    pub fn limits(&self) -> &RequestLimits {
        &self.shared.limits
    }

    /// Classifies the images of one request. `input` was checked against the target's snapshot.
    ///
    /// # Errors
    ///
    /// When an image cannot be read, the queue is full, the deadline passed before the work was
    /// done, or the work panicked.
    pub async fn predict<'a>(
        &self,
        target: Target<'a>,
        input: PredictInput,
        context: &PredictContext,
    ) -> Result<Prediction<'a>, PredictError> {
        let answered = self.run(target, input, context).await;
        if answered.is_err() {
            let statistics = &target.model.metrics.statistics;
            statistics.failed(context.started.elapsed());
        }
        answered
    }

    async fn run<'a>(
        &self,
        target: Target<'a>,
        input: PredictInput,
        context: &PredictContext,
    ) -> Result<Prediction<'a>, PredictError> {
        let Shared {
            limits,
            pool,
            pictures,
            queue,
            shadows,
        } = &*self.shared;
        context.check_deadline()?;
        let normalizer = target.snapshot.primary.checkpoint.normalizer;
        let images = preprocess(
            input.images,
            (normalizer, limits),
            (pool, pictures),
            context,
        )
        .await?;
        let selected = SelectedRoute::select(target, &input.routing_key);
        context.log_route(selected);
        let logits = compute(selected, images.pixels(), queue, context).await?;
        let (images, logits) = read(&selected.route.checkpoint, images, logits);
        let classified = classify(selected.route, images.pixels(), &logits);
        shadows.enqueue(selected, images.pixels(), &classified.labels);
        let prediction = Prediction {
            selected,
            images,
            logits,
            classified,
            min_probability: input.min_probability,
        };
        prediction.count();
        let metrics = &selected.route.metrics;
        let images = prediction.classified.labels.len();
        metrics.answered(context.method, context.started, images);
        Ok(prediction)
    }
}
