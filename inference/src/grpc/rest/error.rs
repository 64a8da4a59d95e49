//! Errors over HTTP, in the protocol's form: a status and `{"error": "…"}`.

use axum::{
    extract::rejection::BytesRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use digits_server::EarlyRejection;
use serde_json::json;
use tonic::{Code, Status};

/// An error response.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    message: String,
    /// The gRPC code, for the metrics.
    code: Code,
    /// gRPC path of the method, if the request was rejected before the call.
    rejected: Option<&'static str>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::BAD_REQUEST => Code::InvalidArgument,
            StatusCode::PAYLOAD_TOO_LARGE => Code::OutOfRange,
            StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
            StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::NOT_IMPLEMENTED => Code::Unimplemented,
            _ => Code::Internal,
        };
        Self {
            status,
            message: message.into(),
            code,
            rejected: None,
        }
    }

    /// The request was rejected before the call of `path`, so the call does not count it.
    pub(super) fn rejecting(mut self, path: &'static str) -> Self {
        self.rejected = Some(path);
        self
    }

    /// A field of the body is invalid.
    pub(super) fn field(field: impl std::fmt::Display, message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("{field}: {message}"))
    }

    pub(super) fn full() -> Self {
        let message = "too many requests in flight; retry later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, message)
    }

    pub(super) fn internal() -> Self {
        let message = "the request failed; see the server's log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let http = match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
            // Tonic's code for a message over the limit.
            Code::OutOfRange => StatusCode::PAYLOAD_TOO_LARGE,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Code::Unavailable | Code::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self {
            code: status.code(),
            ..Self::new(http, status.message())
        }
    }
}

impl From<BytesRejection> for Failure {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let message =
                "the body is larger than the server accepts; send fewer images, or binary data";
            return Self::new(rejection.status(), message);
        }
        // The client has gone.
        Self {
            code: Code::Cancelled,
            ..Self::new(rejection.status(), "the body could not be read to its end")
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = format!("{}\n", json!({ "error": self.message }));
        let mut response = (self.status, body).into_response();
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some(path) = self.rejected {
            let code = self.code;
            response
                .extensions_mut()
                .insert(EarlyRejection { path, code });
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        if self.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            let encodings = HeaderValue::from_static("gzip, deflate");
            response
                .headers_mut()
                .insert(header::ACCEPT_ENCODING, encodings);
        }
        if matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}
