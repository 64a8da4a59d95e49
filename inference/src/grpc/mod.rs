//! `digits.v1.InferenceService`, and the Open Inference Protocol over the same: the only place that names their messages and
//! maps errors to codes.

mod answer;
mod compute;
mod deadline;
mod describe;
mod input;
mod open_inference;
mod outcome;
pub mod rest;
mod shadow;
mod stream;

pub use open_inference::OpenInference;

use crate::{
    metrics::AnswerMetrics,
    model::{Model, Registry, Serving},
    picture,
    pixels::Pixels,
    queue::{self, Queue},
    routing::Choice,
};
use compute::Pool;
use deadline::Deadline;
use digits_proto::v1::{
    GetModelRequest, GetModelResponse, PredictRequest, PredictResponse, PredictStreamRequest,
    ReportOutcomeRequest, ReportOutcomeResponse, inference_service_server::InferenceService,
};
use digits_server::{not_found, unavailable_status};
use shadow::Shadows;
use std::{io, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// Told to those who ask before anything serves: a load takes moments, a training may take any time.
const NOT_YET: Duration = Duration::from_secs(1);

/// Bounds of one request, and of what waits.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// What may wait to be computed.
    pub queue: queue::Limits,
    /// Images as pixels.
    pub max_images: usize,
    /// Encoded pictures.
    pub max_pictures: usize,
    /// What a picture may be.
    pub picture: picture::Limits,
    /// Bytes of an answer.
    pub max_answer_bytes: usize,
}

/// The service. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Inference {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Arc<Registry>,
    limits: RequestLimits,
    metrics: AnswerMetrics,
    pool: Pool,
    queue: Queue,
    shadows: Shadows,
    shutdown: CancellationToken,
}

impl Inference {
    /// The service over these models. Streams end when `shutdown` is cancelled.
    ///
    /// # Errors
    ///
    /// When there can be no thread for the queue or the shadows.
    pub fn new(
        registry: Arc<Registry>,
        limits: RequestLimits,
        shutdown: CancellationToken,
    ) -> io::Result<Self> {
        let metrics = AnswerMetrics::new();
        let queue = Queue::new(limits.queue)?;
        queue.start()?;
        let shared = Shared {
            registry,
            limits,
            shadows: Shadows::start(metrics.clone())?,
            metrics,
            pool: Pool::new(),
            queue,
            shutdown,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    fn model(&self, name: &str) -> Result<&Arc<Model>, Status> {
        self.model_in("model", name)
    }

    /// The model that the request's field names.
    fn model_in(&self, field: &str, name: &str) -> Result<&Arc<Model>, Status> {
        let registry = &self.shared.registry;
        registry.get(name).ok_or_else(|| {
            let name: String = name.chars().take(63).collect();
            let message = format!(
                "{field}: this server does not serve {name:?}; it serves {}",
                registry.names()
            );
            not_found("model", name, message)
        })
    }

    /// Logits of the images by the chosen route, [n, classes]; the shadows get them too.
    async fn compute(
        &self,
        serving: &Arc<Serving>,
        choice: Choice,
        pixels: &Pixels,
        deadline: Deadline,
    ) -> Result<Vec<f32>, Status> {
        let Shared {
            queue,
            shadows,
            metrics,
            ..
        } = &*self.shared;
        let logits = compute::logits(queue, serving, choice, pixels, deadline).await?;
        shadows.follow(serving, choice, pixels, &logits, metrics);
        Ok(logits)
    }

    /// Answers one request, of Predict or of a stream.
    async fn predict_one(
        &self,
        request: PredictRequest,
        deadline: Deadline,
    ) -> Result<PredictResponse, Status> {
        let Shared {
            limits,
            metrics,
            pool,
            ..
        } = &*self.shared;
        let model = self.model(&request.model)?;
        let serving = now_serving(model)?;
        let images = input::read(&request, &serving.primary.checkpoint, limits)?;
        let wanted = answer::Wanted::from(&request);
        deadline.check()?;
        let images = match images {
            input::Images::Ready(pixels) => input::Prepared::ready(pixels),
            input::Images::Raw(raw) => {
                let (normalizer, limits) = (serving.primary.checkpoint.normalizer, limits.picture);
                pool.run(deadline, move |abandoned| {
                    raw.prepare(normalizer, limits, abandoned)
                })
                .await??
            }
        };
        let choice = serving.choose(&request.routing_key);
        let logits = self
            .compute(&serving, choice, images.pixels(), deadline)
            .await?;
        let answering = answer::Answering {
            model: &model.name,
            serving: &serving,
            choice,
        };
        Ok(answer::answer(answering, &images, &logits, wanted, metrics))
    }
}

/// What serves at this moment, for a whole request.
fn now_serving(model: &Model) -> Result<Arc<Serving>, Status> {
    model.serving().clone().ok_or_else(|| no_checkpoint(model))
}

fn no_checkpoint(model: &Model) -> Status {
    let message = format!(
        "no checkpoint of the model {} is loaded yet; train one or try again",
        model.name
    );
    unavailable_status(message, NOT_YET)
}

#[tonic::async_trait]
impl InferenceService for Inference {
    async fn predict(
        &self,
        request: Request<PredictRequest>,
    ) -> Result<Response<PredictResponse>, Status> {
        let deadline = Deadline::of(request.metadata());
        self.predict_one(request.into_inner(), deadline)
            .await
            .map(Response::new)
    }

    type PredictStreamStream = stream::Answers;

    async fn predict_stream(
        &self,
        request: Request<Streaming<PredictStreamRequest>>,
    ) -> Result<Response<Self::PredictStreamStream>, Status> {
        let deadline = Deadline::of(request.metadata());
        let answers = stream::answers(self.clone(), request.into_inner(), deadline);
        Ok(Response::new(answers))
    }

    async fn get_model(
        &self,
        request: Request<GetModelRequest>,
    ) -> Result<Response<GetModelResponse>, Status> {
        let model = self.model(&request.into_inner().model)?;
        Ok(Response::new(describe::model(model)))
    }

    async fn report_outcome(
        &self,
        request: Request<ReportOutcomeRequest>,
    ) -> Result<Response<ReportOutcomeResponse>, Status> {
        let request = request.into_inner();
        let model = self.model(&request.model)?;
        let serving = now_serving(model)?;
        outcome::report(model, &serving, &request)?;
        Ok(Response::new(ReportOutcomeResponse {}))
    }
}
