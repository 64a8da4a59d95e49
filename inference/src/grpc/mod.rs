//! `digits.v1.InferenceService`: the only place that names its messages and maps errors to codes.

mod answer;
mod compute;
mod deadline;
mod describe;
mod input;

use crate::{
    metrics::AnswerMetrics,
    model::{Model, Registry},
    picture,
};
use compute::Pool;
use deadline::Deadline;
use digits_checkpoint::record::Role;
use digits_proto::v1::{
    GetModelRequest, GetModelResponse, PredictRequest, PredictResponse, PredictStreamRequest,
    PredictStreamResponse, ReportOutcomeRequest, ReportOutcomeResponse,
    inference_service_server::InferenceService,
};
use digits_server::{not_found, violations::Violations};
use futures::{Stream, StreamExt as _, stream};
use std::{pin::Pin, sync::Arc};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// Bounds of one request.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
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
    shutdown: CancellationToken,
}

impl Inference {
    /// The service over these models. Streams end when `shutdown` is cancelled.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        limits: RequestLimits,
        shutdown: CancellationToken,
    ) -> Self {
        let shared = Shared {
            registry,
            limits,
            metrics: AnswerMetrics::new(),
            pool: Pool::new(),
            shutdown,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    fn model(&self, name: &str) -> Result<&Arc<Model>, Status> {
        let registry = &self.shared.registry;
        registry.get(name).ok_or_else(|| {
            let name: String = name.chars().take(63).collect();
            let message = format!(
                "model: this server does not serve {name:?}; it serves {}",
                registry.names()
            );
            not_found("model", name, message)
        })
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
        let serving = model
            .serving()
            .clone()
            .ok_or_else(|| no_checkpoint(model))?;
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
        let logits = compute::logits(pool, &serving, images.pixels(), deadline).await?;
        Ok(answer::answer(
            &model.name,
            &serving,
            &images,
            &logits,
            wanted,
            metrics,
        ))
    }
}

fn no_checkpoint(model: &Model) -> Status {
    Status::unavailable(format!(
        "no checkpoint of the model {} is loaded yet; train one or try again",
        model.name
    ))
}

/// Answers of a stream.
type Answers = Pin<Box<dyn Stream<Item = Result<PredictStreamResponse, Status>> + Send>>;

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

    type PredictStreamStream = Answers;

    async fn predict_stream(
        &self,
        request: Request<Streaming<PredictStreamRequest>>,
    ) -> Result<Response<Self::PredictStreamStream>, Status> {
        let deadline = Deadline::of(request.metadata());
        // One request at a time: the next is read when its answer was taken, so a slow reader slows its writer.
        let state = Some((self.clone(), request.into_inner()));
        let answers = stream::unfold(state, move |state| async move {
            let (service, mut requests) = state?;
            let answer = service.next_answer(&mut requests, deadline).await?;
            let more = answer.is_ok().then_some((service, requests));
            Some((answer, more))
        });
        Ok(Response::new(answers.boxed()))
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
        let serving = model
            .serving()
            .clone()
            .ok_or_else(|| no_checkpoint(model))?;
        let classes = serving.primary.checkpoint.network.classes();
        let mut violations = Violations::new();
        let labels = [
            ("predicted_label_index", request.predicted_label_index),
            ("true_label_index", request.true_label_index),
        ];
        for (field, index) in labels {
            if index as usize >= classes {
                violations.push(
                    field,
                    format!("must be below {classes}, the number of labels, not {index}"),
                );
            }
        }
        if request.sequence == 0 {
            violations.push("sequence", "must be the one that served the prediction");
        }
        violations.into_result()?;
        // Only the primary answers as yet, so it was the primary's prediction.
        self.shared.metrics.outcome(
            Role::Primary,
            request.predicted_label_index == request.true_label_index,
        );
        Ok(Response::new(ReportOutcomeResponse {}))
    }
}

impl Inference {
    /// The answer to the next request of a stream; `None` at its end.
    async fn next_answer(
        &self,
        requests: &mut Streaming<PredictStreamRequest>,
        deadline: Deadline,
    ) -> Option<Result<PredictStreamResponse, Status>> {
        let request = match self
            .shared
            .shutdown
            .run_until_cancelled(requests.message())
            .await
        {
            None => {
                return Some(Err(Status::unavailable(
                    "the server is shutting down; open the stream again",
                )));
            }
            Some(Err(status)) => return Some(Err(status)),
            Some(Ok(None)) => return None,
            Some(Ok(Some(request))) => request,
        };
        let Some(request) = request.request else {
            let mut violations = Violations::new();
            violations.push("request", "must be set");
            return Some(Err(violations.into_status()));
        };
        let answer = self.predict_one(request, deadline).await;
        Some(answer.map(|response| PredictStreamResponse {
            response: Some(response),
        }))
    }
}
