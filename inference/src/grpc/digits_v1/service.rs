//! The RPCs of `digits.v1.InferenceService`.

use super::{get_model, predict::Handler, report_outcome, stream};
use crate::{
    grpc::lookup,
    metrics::Method,
    model::Registry,
    predict::{PredictContext, Predictor},
};
use digits_proto::v1::{
    GetModelRequest, GetModelResponse, PredictRequest, PredictResponse, PredictStreamRequest,
    ReportOutcomeRequest, ReportOutcomeResponse,
    inference_service_server::{InferenceService, InferenceServiceServer},
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// The service. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct DigitsV1 {
    handler: Handler,
    shutdown: CancellationToken,
}

impl DigitsV1 {
    /// The service over these models. Streams end when `shutdown` is cancelled.
    #[must_use]
    pub fn new(registry: Arc<Registry>, predictor: Predictor, shutdown: CancellationToken) -> Self {
        let handler = Handler {
            registry,
            predictor,
        };
        Self { handler, shutdown }
    }

    /// The service for the router; larger messages than `max_message_bytes` are refused.
    #[must_use]
    pub fn into_server(self, max_message_bytes: usize) -> InferenceServiceServer<Self> {
        digits_server::compressed!(InferenceServiceServer::new(self))
            .max_decoding_message_size(max_message_bytes)
    }
}

#[tonic::async_trait]
impl InferenceService for DigitsV1 {
    async fn predict(
        &self,
        request: Request<PredictRequest>,
    ) -> Result<Response<PredictResponse>, Status> {
        let context = PredictContext::new(Method::Predict, request.extensions());
        let response = self.handler.predict(request.into_inner(), &context);
        response.await.map(Response::new)
    }

    type PredictStreamStream = stream::Responses;

    async fn predict_stream(
        &self,
        request: Request<Streaming<PredictStreamRequest>>,
    ) -> Result<Response<Self::PredictStreamStream>, Status> {
        let context = PredictContext::new(Method::PredictStream, request.extensions());
        let connection = digits_server::RequestContext::of(request.extensions());
        let stream = stream::PredictStream {
            handler: self.handler.clone(),
            requests: request.into_inner(),
            context,
            end: connection.end_of_streams(&self.shutdown),
        };
        Ok(Response::new(stream.responses()))
    }

    async fn get_model(
        &self,
        request: Request<GetModelRequest>,
    ) -> Result<Response<GetModelResponse>, Status> {
        let name = request.into_inner().model;
        let model = lookup::model(&self.handler.registry, "model", &name)?;
        Ok(Response::new(get_model::response(model)))
    }

    async fn report_outcome(
        &self,
        request: Request<ReportOutcomeRequest>,
    ) -> Result<Response<ReportOutcomeResponse>, Status> {
        let request = request.into_inner();
        let model = lookup::model(&self.handler.registry, "model", &request.model)?;
        let snapshot = lookup::snapshot(model)?;
        report_outcome::report(model, &snapshot, &request)?;
        Ok(Response::new(ReportOutcomeResponse {}))
    }
}
