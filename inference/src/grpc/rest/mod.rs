//! The Open Inference Protocol over plain HTTP: JSON, and its extension for binary tensors.
//!
//! Everything is translated into calls of [`inference.GRPCInferenceService`](super::OpenInference) and goes the way of
//! gRPC's own: the same checks, limits, deadlines, counters and answers. Nothing is decided here.

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
use digits_proto::open_inference::{
    self as open, grpc_inference_service_client::GrpcInferenceServiceClient,
};
use digits_server::{Deadline, InstrumentedService};
use error::Failure;
use serde::Serialize;
use serde_json::json;
use std::{convert::Infallible, sync::Arc, thread::available_parallelism};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::metadata::MetadataMap;

/// Headers that are forwarded from an HTTP request to the gRPC call. `grpc-timeout` is not one: the
/// deadline was computed when the HTTP request arrived.
const FORWARDED_HEADERS: [&str; 4] = ["authorization", "traceparent", "tracestate", "x-request-id"];
/// What is counted where the service is not got to.
const MODEL_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// Paths and methods that there are not.
const UNKNOWN: &str = "/";
/// Bodies that are read where they arrive; larger ones take a while.
const QUICK_BYTES: usize = 32 << 10;

/// Bounds of plain HTTP.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Bytes of a body.
    pub max_body_bytes: usize,
    /// Requests whose bodies are in memory at a time.
    pub max_in_flight: usize,
}

#[derive(Clone)]
struct Gateway {
    service: GrpcInferenceServiceClient<InstrumentedService>,
    /// Places for requests whose bodies are in memory.
    places: Arc<Semaphore>,
    /// Places for large bodies that are being read.
    readers: Arc<Semaphore>,
}

/// The protocol's paths, over `service`.
pub fn router(service: InstrumentedService, limits: HttpLimits) -> Router {
    let cores = available_parallelism().map_or(1, |cores| cores.get());
    let gateway = Gateway {
        service: GrpcInferenceServiceClient::new(service).max_decoding_message_size(usize::MAX),
        places: Arc::new(Semaphore::new(
            limits.max_in_flight.min(Semaphore::MAX_PERMITS),
        )),
        readers: Arc::new(Semaphore::new(cores)),
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
struct Named {
    model: String,
    #[serde(default)]
    version: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(named),
            Err(rejection) => {
                let message = format!("the path cannot be read: {}", rejection.body_text());
                Err(Failure::new(StatusCode::BAD_REQUEST, message).before(UNKNOWN))
            }
        }
    }
}

/// What is forwarded from an HTTP request to the gRPC call that it becomes.
struct Forwarded {
    headers: HeaderMap,
    deadline: Deadline,
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
            deadline: Deadline::of(extensions),
        }
    }

    /// The gRPC request with this message.
    fn request<T>(self, message: T) -> tonic::Request<T> {
        let mut extensions = Extensions::new();
        extensions.insert(self.deadline);
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

/// A document as the answer.
fn document(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(mut body) => {
            body.push(b'\n');
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (status, kind, body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            Failure::internal().into_response()
        }
    }
}

async fn live(State(mut it): State<Gateway>, forwarded: Forwarded) -> Result<Response, Failure> {
    let answer = it
        .service
        .server_live(forwarded.request(open::ServerLiveRequest {}))
        .await?;
    let live = answer.into_inner().live;
    Ok(document(is(live), &json!({ "live": live })))
}

async fn ready(State(mut it): State<Gateway>, forwarded: Forwarded) -> Result<Response, Failure> {
    let answer = it
        .service
        .server_ready(forwarded.request(open::ServerReadyRequest {}))
        .await?;
    let ready = answer.into_inner().ready;
    Ok(document(is(ready), &json!({ "ready": ready })))
}

async fn model_ready(
    State(mut it): State<Gateway>,
    Named { model, version }: Named,
    forwarded: Forwarded,
) -> Result<Response, Failure> {
    let asked = json!(model);
    let message = open::ModelReadyRequest {
        name: model,
        version,
    };
    let answer = it.service.model_ready(forwarded.request(message)).await?;
    let ready = answer.into_inner().ready;
    Ok(document(
        is(ready),
        &json!({ "name": asked, "ready": ready }),
    ))
}

/// What load balancers make of yes and no.
fn is(good: bool) -> StatusCode {
    if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn server(State(mut it): State<Gateway>, forwarded: Forwarded) -> Result<Response, Failure> {
    let message = forwarded.request(open::ServerMetadataRequest {});
    let answer = it.service.server_metadata(message).await?.into_inner();
    let told = json!({
        "name": answer.name,
        "version": answer.version,
        "extensions": answer.extensions,
    });
    Ok(document(StatusCode::OK, &told))
}

async fn metadata(
    State(mut it): State<Gateway>,
    Named { model, version }: Named,
    forwarded: Forwarded,
) -> Result<Response, Failure> {
    let message = open::ModelMetadataRequest {
        name: model,
        version,
    };
    let answer = it
        .service
        .model_metadata(forwarded.request(message))
        .await?
        .into_inner();
    let tensors = |tensors: Vec<open::model_metadata_response::TensorMetadata>| {
        let tensor = |it: open::model_metadata_response::TensorMetadata| json!({ "name": it.name, "datatype": it.datatype, "shape": it.shape });
        tensors.into_iter().map(tensor).collect::<Vec<_>>()
    };
    let told = json!({
        "name": answer.name,
        "versions": answer.versions,
        "platform": answer.platform,
        "inputs": tensors(answer.inputs),
        "outputs": tensors(answer.outputs),
    });
    Ok(document(StatusCode::OK, &told))
}

async fn infer(
    State(mut it): State<Gateway>,
    named: Named,
    request: Request,
) -> Result<Response, Failure> {
    let forwarded = Forwarded::of(request.headers(), request.extensions());
    let (message, form, _place) = it
        .read(named, request)
        .await
        .map_err(|failure| failure.before(MODEL_INFER))?;
    let answer = it.service.model_infer(forwarded.request(message)).await?;
    infer::answer(answer.into_inner(), &form)
}

impl Gateway {
    /// The request as the service takes it, with the place that it holds.
    async fn read(
        &self,
        named: Named,
        request: Request,
    ) -> Result<(open::ModelInferRequest, infer::Form, OwnedSemaphorePermit), Failure> {
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| Failure::full())?;
        let json_bytes = infer::json_bytes(request.headers())?;
        let length = request.headers().get(header::CONTENT_LENGTH);
        let is_quick = length
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .is_some_and(|length: usize| length <= QUICK_BYTES);
        let body = Bytes::from_request(request, &()).await?;
        let read = move || infer::read(body, json_bytes);
        let (mut message, form) = if is_quick {
            read()?
        } else {
            // The semaphore is never closed; were it, there would be nothing to wait for.
            let _reader = self.readers.clone().acquire_owned().await;
            let read = tokio::task::spawn_blocking(read).await;
            read.map_err(|_| Failure::internal())??
        };
        message.model_name = named.model;
        message.model_version = named.version;
        Ok((message, form, place))
    }
}

async fn unknown() -> Failure {
    let message =
        "there is nothing at this path; GET /v2 and /v2/models/{model} tell what there is";
    Failure::new(StatusCode::NOT_FOUND, message).before(UNKNOWN)
}

async fn not_allowed() -> Failure {
    let message =
        "this path does not take this method: infer is asked with POST, all else with GET";
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, message).before(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_call_has_the_deadline_of_its_http_request() {
        let deadline = Deadline::from(Instant::now());
        let mut http = Request::new(axum::body::Body::empty());
        for name in ["grpc-timeout", "traceparent", "cookie"] {
            let value = header::HeaderValue::from_static("1n");
            http.headers_mut().insert(name, value);
        }
        http.extensions_mut().insert(deadline);
        let request = Forwarded::of(http.headers(), http.extensions()).request(());
        assert_eq!(Deadline::of(request.extensions()), deadline);
        let names: Vec<_> = request.metadata().keys().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert!(request.metadata().contains_key("traceparent"));
    }
}
