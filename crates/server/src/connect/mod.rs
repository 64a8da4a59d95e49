//! The Connect protocol (<https://connectrpc.com/docs/protocol>): every method over plain HTTP, with
//! JSON or protobuf as its messages.
//!
//! A request is translated into a gRPC request of the same path, whose body is read when the service
//! reads it: so authentication, roles, limits, deadline, metrics and logs are those of gRPC. Messages
//! are translated by the descriptors alone, so there is no code for any one method.

mod api;
mod call;
mod compression;
mod error;
mod messages;
mod stream;
mod translation;
mod unary;
mod upload;

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;

use digits_transcode::Method;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use tonic::Code;
use tonic::body::Body;

use self::call::{Call, Refusal};
use self::error::ConnectError;
use self::translation::Translation;
use self::upload::UploadTarget;
use crate::middleware::{InstrumentedService, ResponseFuture};

pub use self::api::Api;
pub use self::upload::Upload;

/// Answers requests of the Connect protocol. Clones share everything.
#[derive(Clone)]
pub(crate) struct Connect {
    translation: Arc<Translation>,
    uploads: Arc<HashMap<&'static str, UploadTarget>>,
}

impl Connect {
    /// For messages of at most `max_bytes`.
    ///
    /// # Panics
    /// When the schema lacks the method or the field of an upload.
    pub(crate) fn new(api: Api, service: &InstrumentedService, max_bytes: usize) -> Self {
        let uploads = api.uploads.into_iter().map(|upload| {
            let target = UploadTarget::of(&api.schema, upload);
            (upload.path, target)
        });
        Self {
            uploads: Arc::new(uploads.collect()),
            translation: Arc::new(Translation::new(api.schema, service, max_bytes)),
        }
    }

    /// Whether the path is that of a method or an upload.
    pub(crate) fn has_path(&self, path: &str) -> bool {
        self.translation.schema.method(path).is_some() || self.uploads.contains_key(path)
    }

    /// Whether the request is for a stream, so that its messages have heads. What only says so is
    /// read as one message.
    pub(crate) fn is_stream<B>(&self, request: &Request<B>) -> bool {
        let method = self.translation.schema.method(request.uri().path());
        let streams = |method: Method| method.streams_requests || method.streams_responses;
        method.is_some_and(streams) && call::has_heads(request.headers())
    }

    /// Answers a request for one of the paths.
    pub(crate) fn call(&self, mut request: Request<Body>) -> ResponseFuture {
        let translation = Arc::clone(&self.translation);
        let (schema, max_bytes) = (&translation.schema, translation.max_bytes);
        let called = match self.uploads.get(request.uri().path()) {
            Some(upload) => Call::of_upload(schema, (upload, max_bytes), &mut request),
            None => Call::of(schema, max_bytes, &mut request),
        };
        match called {
            Ok(call) if call.streams => {
                Box::pin(async move { Ok(stream::answer(translation, call, request).await) })
            }
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
    let (status, name, value) = match refusal {
        Refusal::Method => (StatusCode::METHOD_NOT_ALLOWED, header::ALLOW, "POST"),
        Refusal::ContentType(accepted) => {
            let name = HeaderName::from_static("accept-post");
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, name, accepted)
        }
        Refusal::Status(status) => {
            translation.service.count(request, status.code());
            return ConnectError::of(&translation.schema, &status).into_response();
        }
    };
    translation.service.count(request, Code::Unimplemented);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
    response
}
