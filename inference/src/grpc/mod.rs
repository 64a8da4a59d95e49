//! `digits.v1.InferenceService`, and the Open Inference Protocol over the same: the only place that names their messages and
//! maps errors to codes.

mod answer;
mod compute;
mod describe;
mod input;
mod open_inference;
mod outcome;
pub mod rest;
mod shadow;
mod stream;

pub use open_inference::OpenInference;

use crate::{
    metrics::Method,
    model::{Model, Registry, ServingSnapshot},
    picture,
    pixels::Pixels,
    queue::{self, Queue},
};
use answer::SelectedRoute;
use compute::Pool;
use digits_proto::v1::{
    GetModelRequest, GetModelResponse, PredictRequest, PredictResponse, PredictStreamRequest,
    ReportOutcomeRequest, ReportOutcomeResponse,
    inference_service_server::{InferenceService, InferenceServiceServer},
};
use digits_server::{AccessLogFields, Deadline, not_found, unavailable_status};
use digits_telemetry::supervisor::Supervisor;
use shadow::Shadows;
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};
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
    pool: Pool,
    queue: Queue,
    shadows: Shadows,
    shutdown: CancellationToken,
}

/// How a request came that is to be answered.
struct RequestContext {
    method: Method,
    /// When its handling began.
    since: Instant,
    deadline: Deadline,
    /// For the few that are told of one by one.
    note: Option<AccessLogFields>,
}

impl RequestContext {
    /// One that begins now, with a request of its own.
    fn now<T>(method: Method, request: &Request<T>) -> Self {
        Self {
            method,
            since: Instant::now(),
            deadline: Deadline::of(request.extensions()),
            note: AccessLogFields::of(request.extensions()),
        }
    }
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
        supervisor: &Supervisor,
        shutdown: CancellationToken,
    ) -> io::Result<Self> {
        let queue = Queue::new(limits.queue)?;
        queue.start(supervisor)?;
        let shared = Shared {
            registry,
            limits,
            shadows: Shadows::start(supervisor, shutdown.clone())?,
            pool: Pool::new(),
            queue,
            shutdown,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// For the router; a request has at most so many bytes.
    #[must_use]
    pub fn into_server(self, max_message_bytes: usize) -> InferenceServiceServer<Self> {
        InferenceServiceServer::new(self).max_decoding_message_size(max_message_bytes)
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

    /// Logits of the images by who answers, [n, classes]; the shadows get them too.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED when too much waits, DEADLINE_EXCEEDED when its turn came too late, INTERNAL when the engine failed.
    async fn compute(
        &self,
        answering: SelectedRoute<'_>,
        pixels: &Pixels,
        asked: &RequestContext,
    ) -> Result<Vec<f32>, Status> {
        let Shared { queue, shadows, .. } = &*self.shared;
        answering.note(asked);
        let SelectedRoute {
            model,
            serving,
            choice,
        } = answering;
        let logits = compute::logits(queue, serving, choice, pixels, asked.deadline)
            .await
            .map_err(|error| {
                serving.served(choice).metrics.failed(asked.method, error);
                compute::status(error)
            })?;
        shadows.follow(serving, choice, pixels, &logits, &model.answers);
        Ok(logits)
    }

    /// Answers one request, of Predict or of a stream.
    async fn predict_one(
        &self,
        request: PredictRequest,
        asked: &RequestContext,
    ) -> Result<PredictResponse, Status> {
        let Shared { limits, pool, .. } = &*self.shared;
        let model = self.model(&request.model)?;
        let serving = now_serving(model)?;
        let images = input::read(&request, &serving.primary.checkpoint, limits)?;
        let wanted = answer::ResponseOptions::from(&request);
        asked.deadline.check()?;
        let images = match images {
            input::Images::Ready(pixels) => input::NormalizedImages::ready(pixels),
            input::Images::Raw(raw) => {
                let (normalizer, limits) = (serving.primary.checkpoint.normalizer, limits.picture);
                pool.run(asked.deadline, move |abandoned| {
                    raw.prepare(normalizer, limits, abandoned)
                })
                .await??
            }
        };
        let answering = SelectedRoute {
            model,
            serving: &serving,
            choice: serving.choose(&request.routing_key),
        };
        let logits = self.compute(answering, images.pixels(), asked).await?;
        let answer = answer::answer(answering, &images, &logits, wanted);
        answering.count(asked);
        Ok(answer)
    }
}

/// What serves at this moment, for a whole request.
fn now_serving(model: &Model) -> Result<Arc<ServingSnapshot>, Status> {
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
        let asked = RequestContext::now(Method::Predict, &request);
        self.predict_one(request.into_inner(), &asked)
            .await
            .map(Response::new)
    }

    type PredictStreamStream = stream::Answers;

    async fn predict_stream(
        &self,
        request: Request<Streaming<PredictStreamRequest>>,
    ) -> Result<Response<Self::PredictStreamStream>, Status> {
        let asked = RequestContext::now(Method::PredictStream, &request);
        let answers = stream::answers(self.clone(), request.into_inner(), asked);
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

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::metadata::MetadataValue;

    #[test]
    fn the_deadline_is_the_servers_and_is_not_parsed_again() {
        let mut request = Request::new(());
        let timeout = MetadataValue::from_static("1n");
        request.metadata_mut().insert("grpc-timeout", timeout);
        let asked = RequestContext::now(Method::Predict, &request);
        assert_eq!(asked.deadline, Deadline::default());
        let deadline = Deadline::from(Instant::now());
        request.extensions_mut().insert(deadline);
        let asked = RequestContext::now(Method::Predict, &request);
        assert_eq!(asked.deadline, deadline);
    }
}
