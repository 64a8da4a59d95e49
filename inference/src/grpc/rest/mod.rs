//! The Open Inference Protocol over plain HTTP: JSON, and its extension for binary tensors.
//!
//! Requests are transcoded into calls of [`inference.GRPCInferenceService`](super::OpenInference),
//! which go through the same middleware as those of gRPC clients: authentication, limits, deadlines
//! and metrics. So this codec decides nothing by itself.

mod content_encoding;
mod error;
mod infer;
mod tensor;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest as _, FromRequestParts, Path, Request, State},
    http::{Extensions, HeaderMap, HeaderName, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use content_encoding::ContentEncoding;
use digits_proto::open_inference::{
    self as open, grpc_inference_service_client::GrpcInferenceServiceClient,
};
use digits_server::{InstrumentedService, RequestContext};
use error::Failure;
use serde::Serialize;
use serde_json::json;
use std::{convert::Infallible, sync::Arc, thread::available_parallelism};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::metadata::MetadataMap;

/// Headers that are forwarded from an HTTP request to the gRPC call. `grpc-timeout` is not one: the
/// deadline was computed when the HTTP request arrived.
const FORWARDED_HEADERS: [&str; 4] = ["authorization", "traceparent", "tracestate", "x-request-id"];
/// Method in the metrics of requests that are rejected before the call.
const MODEL_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// Method in the metrics of unknown paths and methods.
const UNKNOWN: &str = "/";
/// Size of bodies that are parsed inline; larger and compressed ones are parsed on a blocking
/// thread.
const MAX_INLINE_BYTES: usize = 32 << 10;

/// Limits of HTTP requests.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Maximum size of a body, and of what a compressed one unpacks to.
    pub max_body_bytes: usize,
    /// Maximum number of requests whose bodies are in memory.
    pub max_in_flight: usize,
}

#[derive(Clone)]
struct Gateway {
    service: GrpcInferenceServiceClient<InstrumentedService>,
    /// Permits of requests whose bodies are in memory.
    bodies: Arc<Semaphore>,
    /// Permits of large bodies that are being parsed.
    parsers: Arc<Semaphore>,
    max_body_bytes: usize,
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
    Router::new()
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

/// Model and version of a path; the version is empty where the path has none.
#[derive(serde::Deserialize)]
struct ModelPath {
    model: String,
    #[serde(default)]
    version: String,
}

impl<S: Send + Sync> FromRequestParts<S> for ModelPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(path)) => Ok(path),
            Err(rejection) => {
                let message = format!("the path cannot be read: {}", rejection.body_text());
                Err(Failure::new(StatusCode::BAD_REQUEST, message).rejecting(UNKNOWN))
            }
        }
    }
}

/// Metadata and deadline that an HTTP request passes on to the gRPC call.
struct Forwarded {
    headers: HeaderMap,
    context: RequestContext,
}

impl Forwarded {
    fn of(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let mut forwarded = HeaderMap::new();
        for name in FORWARDED_HEADERS {
            if let Some(value) = headers.get(name) {
                forwarded.insert(HeaderName::from_static(name), value.clone());
            }
        }
        Self {
            headers: forwarded,
            context: RequestContext::of(extensions),
        }
    }

    /// The gRPC request with this message.
    fn request<T>(self, message: T) -> tonic::Request<T> {
        let mut extensions = Extensions::new();
        extensions.insert(self.context);
        let metadata = MetadataMap::from_headers(self.headers);
        tonic::Request::from_parts(metadata, extensions, message)
    }
}

impl<S: Sync> FromRequestParts<S> for Forwarded {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers, &parts.extensions))
    }
}

/// A response with a JSON document.
fn document(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(mut body) => {
            body.push(b'\n');
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (status, kind, body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a response could not be serialized as JSON");
            Failure::internal().into_response()
        }
    }
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
        let permit = self.bodies.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Failure::full())?;
        let json_bytes = infer::json_bytes(request.headers())?;
        let (encoding, max_bytes) = (ContentEncoding::of(request.headers())?, self.max_body_bytes);
        let length = request.headers().get(header::CONTENT_LENGTH);
        let is_small = length
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .is_some_and(|length: usize| length <= MAX_INLINE_BYTES)
            && encoding == ContentEncoding::Identity;
        let body = Bytes::from_request(request, &()).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use digits_server::Deadline;
    use std::time::Instant;

    #[test]
    fn a_grpc_call_has_the_deadline_of_its_http_request() {
        let deadline = Deadline::from(Instant::now());
        let mut http = Request::new(axum::body::Body::empty());
        for name in ["grpc-timeout", "traceparent", "cookie"] {
            let value = header::HeaderValue::from_static("1n");
            http.headers_mut().insert(name, value);
        }
        http.extensions_mut().insert(RequestContext::from(deadline));
        let request = Forwarded::of(http.headers(), http.extensions()).request(());
        assert_eq!(RequestContext::of(request.extensions()).deadline, deadline);
        let names: Vec<_> = request.metadata().keys().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert!(request.metadata().contains_key("traceparent"));
    }
}
