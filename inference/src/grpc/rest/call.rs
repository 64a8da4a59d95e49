//! What the handlers of all paths share: the gRPC service that they call, what of an HTTP request
//! goes with the call, and JSON documents as responses.

use super::error::Failure;
use axum::{
    extract::{FromRequestParts, Path},
    http::{Extensions, HeaderMap, HeaderName, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use digits_proto::open_inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use digits_server::{InstrumentedService, RequestContext};
use serde::Serialize;
use std::{convert::Infallible, sync::Arc};
use tokio::sync::Semaphore;
use tonic::metadata::MetadataMap;

/// Headers that are forwarded from an HTTP request to the gRPC call. `grpc-timeout` is not one: the
/// deadline was computed when the HTTP request arrived.
const FORWARDED_HEADERS: [&str; 4] = ["authorization", "traceparent", "tracestate", "x-request-id"];
/// Method in the metrics of unknown paths and methods.
pub(super) const UNKNOWN: &str = "/";

#[derive(Clone)]
pub(super) struct Gateway {
    pub(super) service: GrpcInferenceServiceClient<InstrumentedService>,
    /// Permits of requests whose bodies have arrived.
    pub(super) bodies: Arc<Semaphore>,
    /// Permits of large bodies that are being parsed.
    pub(super) parsers: Arc<Semaphore>,
    pub(super) max_body_bytes: usize,
}

/// Model and version of a path; the version is empty where the path has none.
#[derive(serde::Deserialize)]
pub(super) struct ModelPath {
    pub(super) model: String,
    #[serde(default)]
    pub(super) version: String,
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
pub(super) struct Forwarded {
    headers: HeaderMap,
    context: RequestContext,
}

impl Forwarded {
    pub(super) fn of(headers: &HeaderMap, extensions: &Extensions) -> Self {
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
    pub(super) fn request<T>(self, message: T) -> tonic::Request<T> {
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
pub(super) fn document(status: StatusCode, document: &impl Serialize) -> Response {
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::Request;
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
