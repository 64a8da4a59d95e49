//! What goes wrong, as the protocol tells it over HTTP: a status and `{"error": "…"}`.

use axum::{
    extract::rejection::BytesRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use digits_server::EarlyRejection;
use serde_json::json;
use tonic::{Code, Status};

/// Why a request got no answer.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    message: String,
    /// What gRPC calls it.
    code: Code,
    /// Path of the method that it did not get to.
    unserved: Option<&'static str>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::BAD_REQUEST => Code::InvalidArgument,
            StatusCode::PAYLOAD_TOO_LARGE => Code::OutOfRange,
            StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Code::Unimplemented,
            _ => Code::Internal,
        };
        Self {
            status,
            message: message.into(),
            code,
            unserved: None,
        }
    }

    /// It was found before the service was asked, which counts what it is asked.
    pub(super) fn before(mut self, path: &'static str) -> Self {
        self.unserved = Some(path);
        self
    }

    /// Something is wrong with what `field` of the body says.
    pub(super) fn field(field: impl std::fmt::Display, message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("{field}: {message}"))
    }

    pub(super) fn full() -> Self {
        let message = "too many requests in flight; try again";
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
            // What tonic says of a message over the limit.
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
                "the body is longer than the server takes; send fewer images, or binary data";
            return Self::new(rejection.status(), message);
        }
        // Its client went away within it.
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
        if let Some(path) = self.unserved {
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
