//! The Connect protocol (<https://connectrpc.com/docs/protocol>): every method as an HTTP request
//! with JSON or protobuf as its body.
//!
//! A request is translated into a gRPC request of the same path, whose body is read when the service
//! reads it: so authentication, roles, limits, deadline, metrics and logs are those of gRPC. Messages
//! are translated by the descriptors alone, so there is no code for any one method.

mod call;
mod compression;
mod error;
mod message_body;
mod translation;
mod unary;

use std::future::ready;
use std::sync::Arc;

use digits_transcode::Schema;
use http::{Request, Response, StatusCode, header};
use tonic::Code;
use tonic::body::Body;

use self::call::{Call, Refusal};
use self::error::ConnectError;
use self::translation::Translation;
use crate::error::ServerError;
use crate::middleware::{InstrumentedService, ResponseFuture};

const HEALTH: &str = "grpc.health.v1.Health";

/// The types and methods of `services` (full names) and of the health service, from an encoded
/// `google.protobuf.FileDescriptorSet`.
///
/// # Errors
/// When the set cannot be decoded, or has a type without a JSON form.
pub fn schema(descriptors: &[u8], services: &[&str]) -> Result<Schema, ServerError> {
    let sets = [
        descriptors,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        // The details of errors.
        tonic_types::pb::FILE_DESCRIPTOR_SET,
    ];
    let services: Vec<_> = services.iter().copied().chain([HEALTH]).collect();
    Ok(Schema::new(sets, &services)?)
}

/// Answers requests of the Connect protocol. Clones share everything.
#[derive(Clone)]
pub(crate) struct Connect(Arc<Translation>);

impl Connect {
    pub(crate) fn new(schema: Schema, service: &InstrumentedService, max_bytes: usize) -> Self {
        Self(Arc::new(Translation::new(schema, service, max_bytes)))
    }

    /// Whether the path is that of a method.
    pub(crate) fn has_method(&self, path: &str) -> bool {
        self.0.schema.method(path).is_some()
    }

    /// Answers a request for a method of the schema.
    pub(crate) fn call(&self, mut request: Request<Body>) -> ResponseFuture {
        let translation = Arc::clone(&self.0);
        match Call::of(&translation.schema, &mut request) {
            Ok(call) => {
                Box::pin(async move { Ok(unary::answer(translation, call, request).await) })
            }
            Err(refusal) => {
                let response = refuse(&translation, &mut request, refusal);
                Box::pin(ready(Ok(response)))
            }
        }
    }
}

/// The response to a request that is no call.
fn refuse(
    translation: &Translation,
    request: &mut Request<Body>,
    refusal: Refusal,
) -> Response<Body> {
    let (status, header) = match refusal {
        Refusal::Method => (StatusCode::METHOD_NOT_ALLOWED, (header::ALLOW, "POST")),
        Refusal::ContentType(accepted) => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            (header::HeaderName::from_static("accept-post"), accepted),
        ),
        Refusal::Status(status) => {
            translation.service.count(request, status.code());
            return ConnectError::of(&translation.schema, &status).into_response();
        }
    };
    translation.service.count(request, Code::Unimplemented);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let (name, value) = header;
    let value = http::HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
    response
}
