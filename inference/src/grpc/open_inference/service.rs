//! The RPCs of `inference.GRPCInferenceService`.

use super::{
    configuration::{configuration, statistics},
    decode::{Decoded, decode},
    encode::encode,
    metadata,
};
use crate::{
    grpc::{lookup, status},
    metrics::Method,
    model::{Model, Registry, ServingSnapshot},
    predict::{PredictContext, Predictor, Target},
};
use digits_proto::open_inference::{
    ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse,
    ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ModelStatisticsRequest, ModelStatisticsResponse, ServerLiveRequest, ServerLiveResponse,
    ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse,
    grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer},
};
use digits_server::not_found;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// Characters of a client's version that are repeated in an error.
const MAX_VERSION_CHARS: usize = 40;

/// The service. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct OpenInference {
    registry: Arc<Registry>,
    predictor: Predictor,
    shutdown: CancellationToken,
}

impl OpenInference {
    /// The service over these models; it is not ready after `shutdown` is cancelled.
    #[must_use]
    pub fn new(registry: Arc<Registry>, predictor: Predictor, shutdown: CancellationToken) -> Self {
        Self {
            registry,
            predictor,
            shutdown,
        }
    }

    /// The service for the router; larger messages than `max_message_bytes` are refused.
    #[must_use]
    pub fn into_server(self, max_message_bytes: usize) -> GrpcInferenceServiceServer<Self> {
        digits_server::compressed!(GrpcInferenceServiceServer::new(self))
            .max_decoding_message_size(max_message_bytes)
    }

    fn model(&self, field: &str, name: &str) -> Result<&Arc<Model>, Status> {
        lookup::model(&self.registry, field, name)
    }

    async fn infer(
        &self,
        request: ModelInferRequest,
        context: &PredictContext,
    ) -> Result<ModelInferResponse, Status> {
        let model = self.model("model_name", &request.model_name)?;
        let snapshot = &snapshot(model, "model_version", &request.model_version)?;
        let checkpoint = &snapshot.primary.checkpoint;
        let Decoded { id, input, options } = decode(request, checkpoint, self.predictor.limits())?;
        let target = Target { model, snapshot };
        let prediction = self.predictor.predict(target, input, context).await;
        let prediction = prediction
            .map_err(|error| status::from_predict_error(error, |_| "inputs[0]".to_owned()))?;
        Ok(encode(&prediction, id, &options))
    }
}

/// The current snapshot of the model, if it is the requested version.
fn snapshot(model: &Model, field: &str, version: &str) -> Result<Arc<ServingSnapshot>, Status> {
    let snapshot = lookup::snapshot(model)?;
    if is_version(&snapshot, version) {
        return Ok(snapshot);
    }
    let version: String = version.chars().take(MAX_VERSION_CHARS).collect();
    let message = format!(
        "{field}: version {version:?} of the model {} is not served; {} is",
        model.name, snapshot.sequence
    );
    Err(not_found("model version", version, message))
}

fn is_version(snapshot: &ServingSnapshot, version: &str) -> bool {
    version.is_empty() || version == snapshot.sequence.to_string()
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
        let mut models = self.registry.models();
        let ready = !self.shutdown.is_cancelled() && models.all(|it| it.is_serving());
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        let snapshot = self.model("name", &name)?.snapshot();
        let ready = snapshot
            .as_ref()
            .is_some_and(|snapshot| is_version(snapshot, &version));
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
        let model = self.model("name", &name)?;
        let snapshot = snapshot(model, "version", &version)?;
        Ok(Response::new(metadata::model(model, &snapshot)))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let context = PredictContext::new(Method::ModelInfer, request.extensions());
        let response = self.infer(request.into_inner(), &context).await?;
        Ok(Response::new(response))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let ModelConfigRequest { name, version } = request.into_inner();
        let model = self.model("name", &name)?;
        let snapshot = snapshot(model, "version", &version)?;
        let max_images = self.predictor.limits().max_images;
        let config = Some(configuration(model, &snapshot, max_images));
        Ok(Response::new(ModelConfigResponse { config }))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let ModelStatisticsRequest { name, version } = request.into_inner();
        let model_stats = if name.is_empty() {
            let all = self.registry.models();
            all.filter_map(|model| Some(statistics(model, model.snapshot().as_ref()?)))
                .collect()
        } else {
            let model = self.model("name", &name)?;
            let snapshot = snapshot(model, "version", &version)?;
            vec![statistics(model, &snapshot)]
        };
        Ok(Response::new(ModelStatisticsResponse { model_stats }))
    }
}
