//! The Open Inference Protocol over plain HTTP: JSON, and its extension for binary tensors.
//!
//! Requests are transcoded into calls of [`inference.GRPCInferenceService`](super::OpenInference),
//! which go through the same middleware as those of gRPC clients: authentication, limits, deadlines
//! and metrics. So this codec decides nothing by itself.

mod call;
mod content_encoding;
mod error;
mod extensions;
mod fields;
mod infer;
mod tensor;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest as _, Request, State},
    http::{StatusCode, header},
    response::Response,
    routing::{get, post},
};
use call::{Forwarded, Gateway, ModelPath, UNKNOWN, document};
use content_encoding::ContentEncoding;
use digits_proto::open_inference::{
    self as open, grpc_inference_service_client::GrpcInferenceServiceClient,
};
use digits_server::InstrumentedService;
use error::Failure;
use serde_json::json;
use std::{sync::Arc, thread::available_parallelism};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Method in the metrics of requests that are rejected before the call.
const MODEL_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// Size of bodies that are parsed inline; larger and compressed ones are parsed on a blocking
/// thread.
const MAX_INLINE_BYTES: usize = 32 << 10;

/// Limits of HTTP requests.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Maximum size of a body, and of what a compressed one unpacks to.
    pub max_body_bytes: usize,
    /// Maximum number of requests whose bodies have arrived.
    pub max_in_flight: usize,
}

/// The protocol's paths, over `service`.
pub fn router(service: InstrumentedService, limits: HttpLimits) -> Router {
    let cores = available_parallelism().map_or(1, |cores| cores.get());
    let gateway = Gateway {
        service: GrpcInferenceServiceClient::new(service).max_decoding_message_size(usize::MAX),
        bodies: Arc::new(Semaphore::new(
            limits.max_in_flight.min(Semaphore::MAX_PERMITS),
        )),
        parsers: Arc::new(Semaphore::new(cores)),
        max_body_bytes: limits.max_body_bytes,
    };
    let model = "/v2/models/{model}";
    let version = "/v2/models/{model}/versions/{version}";
    extensions::routes()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route(model, get(metadata))
        .route(version, get(metadata))
        .route(&format!("{model}/ready"), get(model_ready))
        .route(&format!("{version}/ready"), get(model_ready))
        .route(&format!("{model}/infer"), post(infer))
        .route(&format!("{version}/infer"), post(infer))
        .route("/v2/", get(unknown).post(unknown))
        .route("/v2/{*path}", get(unknown).post(unknown))
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(limits.max_body_bytes))
        .with_state(gateway)
}

async fn live(
    State(mut gateway): State<Gateway>,
    forwarded: Forwarded,
) -> Result<Response, Failure> {
    let response = gateway
        .service
        .server_live(forwarded.request(open::ServerLiveRequest {}))
        .await?;
    let live = response.into_inner().live;
    Ok(document(health_status(live), &json!({ "live": live })))
}

async fn ready(
    State(mut gateway): State<Gateway>,
    forwarded: Forwarded,
) -> Result<Response, Failure> {
    let response = gateway
        .service
        .server_ready(forwarded.request(open::ServerReadyRequest {}))
        .await?;
    let ready = response.into_inner().ready;
    Ok(document(health_status(ready), &json!({ "ready": ready })))
}

async fn model_ready(
    State(mut gateway): State<Gateway>,
    ModelPath { model, version }: ModelPath,
    forwarded: Forwarded,
) -> Result<Response, Failure> {
    let served_name = json!(model);
    let message = open::ModelReadyRequest {
        name: model,
        version,
    };
    let response = gateway
        .service
        .model_ready(forwarded.request(message))
        .await?;
    let ready = response.into_inner().ready;
    Ok(document(
        health_status(ready),
        &json!({ "name": served_name, "ready": ready }),
    ))
}

/// The status that load balancers expect of a health check.
fn health_status(is_healthy: bool) -> StatusCode {
    if is_healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn server(
    State(mut gateway): State<Gateway>,
    forwarded: Forwarded,
) -> Result<Response, Failure> {
    let message = forwarded.request(open::ServerMetadataRequest {});
    let response = gateway.service.server_metadata(message).await?.into_inner();
    let body = json!({
        "name": response.name,
        "version": response.version,
        "extensions": response.extensions,
    });
    Ok(document(StatusCode::OK, &body))
}

async fn metadata(
    State(mut gateway): State<Gateway>,
    ModelPath { model, version }: ModelPath,
    forwarded: Forwarded,
) -> Result<Response, Failure> {
    let message = open::ModelMetadataRequest {
        name: model,
        version,
    };
    let response = gateway
        .service
        .model_metadata(forwarded.request(message))
        .await?
        .into_inner();
    let tensors = |tensors: Vec<open::model_metadata_response::TensorMetadata>| {
        let tensor = |it: open::model_metadata_response::TensorMetadata| json!({ "name": it.name, "datatype": it.datatype, "shape": it.shape });
        tensors.into_iter().map(tensor).collect::<Vec<_>>()
    };
    let body = json!({
        "name": response.name,
        "versions": response.versions,
        "platform": response.platform,
        "inputs": tensors(response.inputs),
        "outputs": tensors(response.outputs),
    });
    Ok(document(StatusCode::OK, &body))
}

async fn infer(
    State(mut gateway): State<Gateway>,
    path: ModelPath,
    request: Request,
) -> Result<Response, Failure> {
    let forwarded = Forwarded::of(request.headers(), request.extensions());
    let (message, options, _permit) = gateway
        .decode(path, request)
        .await
        .map_err(|failure| failure.rejecting(MODEL_INFER))?;
    let response = gateway
        .service
        .model_infer(forwarded.request(message))
        .await?;
    infer::encode(response.into_inner(), &options)
}

impl Gateway {
    /// Parses a request. Its permit is held until the response is ready.
    async fn decode(
        &self,
        path: ModelPath,
        request: Request,
    ) -> Result<
        (
            open::ModelInferRequest,
            infer::ResponseOptions,
            OwnedSemaphorePermit,
        ),
        Failure,
    > {
        let json_bytes = infer::json_bytes(request.headers())?;
        let (encoding, max_bytes) = (ContentEncoding::of(request.headers())?, self.max_body_bytes);
        let length = request.headers().get(header::CONTENT_LENGTH);
        let is_small = length
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .is_some_and(|length: usize| length <= MAX_INLINE_BYTES)
            && encoding == ContentEncoding::Identity;
        let body = Bytes::from_request(request, &()).await?;
        // When the body is complete: half a request takes no place from others. Until then its
        // bytes count as bytes in flight.
        let permit = self.bodies.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Failure::full())?;
        let decode = move || infer::decode(encoding.decode(body, max_bytes)?, json_bytes);
        let (mut message, options) = if is_small {
            decode()?
        } else {
            let _permit = self.parsers.clone().acquire_owned().await;
            let decoded = tokio::task::spawn_blocking(decode).await;
            decoded.map_err(|_| Failure::internal())??
        };
        message.model_name = path.model;
        message.model_version = path.version;
        Ok((message, options, permit))
    }
}

async fn unknown() -> Failure {
    let message =
        "unknown path; GET /v2 and GET /v2/models/{model} describe the server and its models";
    Failure::new(StatusCode::NOT_FOUND, message).rejecting(UNKNOWN)
}

async fn not_allowed() -> Failure {
    let message = "method not allowed: use POST for infer, and GET for everything else";
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, message).rejecting(UNKNOWN)
}
