//! `inference.GRPCInferenceService`: the Open Inference Protocol, version 2, over the same models, limits and counters as
//! `digits.v1`. A version is the sequence of a serving record, and only the one that serves can be asked.
//!
//! A model has one input, `pixels`: UINT8 grey bytes, or FP32 grey values from 0 to 1 as torchvision's `ToTensor` gives them,
//! of shape [n, height·width], [n, height, width] or [n, 1, height, width]. It has three outputs: `logits` and
//! `probabilities`, FP32 [n, classes], and `label`, BYTES [n].

mod answer;
mod metadata;
mod request;

use super::{Inference, RequestContext, answer::SelectedRoute, now_serving};
use crate::{
    metrics::Method,
    model::{Model, ServingSnapshot},
};
use digits_proto::open_inference::{
    ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse,
    ModelReadyRequest, ModelReadyResponse, ServerLiveRequest, ServerLiveResponse,
    ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
    grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer},
};
use digits_server::not_found;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The one input.
const INPUT: &str = "pixels";

/// The service. Cheap to clone; clones share everything with the [`Inference`] that it was made of.
#[derive(Clone)]
pub struct OpenInference(Inference);

impl OpenInference {
    /// The protocol over the models of `inference`.
    #[must_use]
    pub fn new(inference: Inference) -> Self {
        Self(inference)
    }

    /// For the router; a request has at most so many bytes.
    #[must_use]
    pub fn into_server(self, max_message_bytes: usize) -> GrpcInferenceServiceServer<Self> {
        GrpcInferenceServiceServer::new(self).max_decoding_message_size(max_message_bytes)
    }

    /// What serves of a model, if it is the version that is asked for.
    fn version(
        model: &Model,
        (field, version): (&str, &str),
    ) -> Result<Arc<ServingSnapshot>, Status> {
        let serving = now_serving(model)?;
        if is_version(&serving, version) {
            return Ok(serving);
        }
        let version: String = version.chars().take(40).collect();
        let message = format!(
            "{field}: version {version:?} of the model {} is not served; {} is",
            model.name, serving.sequence
        );
        Err(not_found("model version", version, message))
    }

    async fn infer(
        &self,
        request: ModelInferRequest,
        asked: &RequestContext,
    ) -> Result<ModelInferResponse, Status> {
        let service = &self.0;
        let model = service.model_in("model_name", &request.model_name)?;
        let serving = Self::version(model, ("model_version", &request.model_version))?;
        let limits = &service.shared.limits;
        let request = request::read(request, &serving.primary.checkpoint, limits)?;
        asked.deadline.check()?;
        let request::Read {
            id,
            routing_key,
            values,
            form,
        } = request;
        let pixels = if values.is_quick() {
            values.into_pixels()?
        } else {
            let pool = &service.shared.pool;
            pool.run(asked.deadline, move |_| values.into_pixels())
                .await??
        };
        let answering = SelectedRoute {
            model,
            serving: &serving,
            choice: serving.choose(&routing_key),
        };
        let logits = service.compute(answering, &pixels, asked).await?;
        let answer = answer::answer(answering, &pixels, logits, id, &form);
        answering.count(asked);
        Ok(answer)
    }
}

fn is_version(serving: &ServingSnapshot, version: &str) -> bool {
    version.is_empty() || version == serving.sequence.to_string()
}

#[tonic::async_trait]
impl GrpcInferenceService for OpenInference {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        let shared = &self.0.shared;
        let mut models = shared.registry.models();
        let ready = !shared.shutdown.is_cancelled() && models.all(|it| it.serving().is_some());
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        let model = self.0.model_in("name", &name)?;
        let serving = model.serving();
        let ready = serving
            .as_ref()
            .is_some_and(|serving| is_version(serving, &version));
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(metadata::server()))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let model = self.0.model_in("name", &name)?;
        let serving = Self::version(model, ("version", &version))?;
        Ok(Response::new(metadata::model(model, &serving)))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let asked = RequestContext::now(Method::ModelInfer, &request);
        let answer = self.infer(request.into_inner(), &asked).await?;
        Ok(Response::new(answer))
    }
}
