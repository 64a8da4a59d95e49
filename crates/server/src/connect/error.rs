//! A gRPC status as the error of the Connect protocol: a JSON document and an HTTP status
//! (<https://connectrpc.com/docs/protocol/#error-end-stream>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use digits_transcode::Schema;
use http::{HeaderValue, Response, StatusCode, header};
use prost::Message as _;
use serde::Serialize;
use serde_json::Value;
use tonic::body::Body;
use tonic::{Code, Status};

/// An error as clients of the Connect protocol read it.
#[derive(Debug, Serialize)]
pub(super) struct ConnectError {
    #[serde(skip)]
    status: StatusCode,
    code: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

/// A message such as `google.rpc.BadRequest`.
#[derive(Debug, Serialize)]
struct Detail {
    #[serde(rename = "type")]
    name: String,
    /// The encoded message, in base64.
    value: String,
    /// The message as JSON, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<Value>,
}

impl ConnectError {
    /// The error of a status. Details are explained if `schema` has their types.
    pub(super) fn of(schema: &Schema, status: &Status) -> Self {
        let (code, http) = names(status.code());
        let details = tonic_types::pb::Status::decode(status.details()).unwrap_or_default();
        let details = details.details.into_iter().map(|detail| {
            let name = detail.type_url.rsplit('/').next().unwrap_or_default();
            let id = schema.message_named(name);
            let json = id.and_then(|id| schema.to_json(id, &detail.value).ok());
            Detail {
                name: name.to_owned(),
                value: STANDARD_NO_PAD.encode(&detail.value),
                debug: json.and_then(|json| serde_json::from_slice(&json).ok()),
            }
        });
        Self {
            status: http,
            code,
            message: status.message().to_owned(),
            details: details.collect(),
        }
    }

    /// The response to a unary call.
    pub(super) fn into_response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::new(axum::body::Body::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let bearer = HeaderValue::from_static("Bearer");
                headers.insert(header::WWW_AUTHENTICATE, bearer);
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// Name and HTTP status of a code.
fn names(code: Code) -> (&'static str, StatusCode) {
    let (name, status) = match code {
        Code::Cancelled => ("canceled", 499),
        Code::InvalidArgument => ("invalid_argument", 400),
        Code::DeadlineExceeded => ("deadline_exceeded", 504),
        Code::NotFound => ("not_found", 404),
        Code::AlreadyExists => ("already_exists", 409),
        Code::PermissionDenied => ("permission_denied", 403),
        Code::ResourceExhausted => ("resource_exhausted", 429),
        Code::FailedPrecondition => ("failed_precondition", 400),
        Code::Aborted => ("aborted", 409),
        Code::OutOfRange => ("out_of_range", 400),
        Code::Unimplemented => ("unimplemented", 501),
        Code::Internal => ("internal", 500),
        Code::Unavailable => ("unavailable", 503),
        Code::DataLoss => ("data_loss", 500),
        Code::Unauthenticated => ("unauthenticated", 401),
        Code::Ok | Code::Unknown => ("unknown", 500),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (name, status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::{ErrorDetails, StatusExt as _};

    #[test]
    fn an_error_has_code_message_and_details() {
        let schema = Schema::new([tonic_types::pb::FILE_DESCRIPTOR_SET], &[]).expect("a schema");
        let details = ErrorDetails::with_bad_request_violation("epochs", "must be at least 1");
        let status = Status::with_error_details(Code::InvalidArgument, "epochs: …", details);
        let error = ConnectError::of(&schema, &status);
        assert_eq!(error.status, StatusCode::BAD_REQUEST);
        let json = serde_json::to_value(&error).expect("JSON");
        assert_eq!(json["code"], "invalid_argument");
        assert_eq!(json["message"], "epochs: …");
        assert_eq!(json["details"][0]["type"], "google.rpc.BadRequest");
        let violation = &json["details"][0]["debug"]["fieldViolations"][0];
        assert_eq!(violation["field"], "epochs");
        let value = json["details"][0]["value"].as_str().expect("base64");
        assert!(!value.is_empty() && !value.contains('='), "{value}");
    }

    #[test]
    fn a_status_without_details_is_short() {
        let schema = Schema::default();
        let error = ConnectError::of(&schema, &Status::not_found(""));
        let json = serde_json::to_string(&error).expect("JSON");
        assert_eq!(json, r#"{"code":"not_found"}"#);
        let full = ConnectError::of(&schema, &Status::resource_exhausted("full"));
        let response = full.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
