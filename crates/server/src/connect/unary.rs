//! Calls with one request and one response.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use digits_transcode::InvalidJson;
use http::{HeaderMap, HeaderName, Request, Response, header};
use http_body::Body as _;
use tonic::body::Body;
use tonic::{Code, Status};

use super::call::{Call, Codec};
use super::compression::Compression;
use super::error::ConnectError;
use super::message_body::{self, HEAD};
use super::translation::Translation;

/// Calls the service, and translates its response.
pub(super) async fn answer(
    translation: Arc<Translation>,
    call: Call,
    request: Request<Body>,
) -> Response<Body> {
    let shared = Arc::clone(&translation);
    let request = request.map(|body| message_body::body(read(shared, call, body)));
    let response = match translation.service.handle(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let answered = respond(&translation, call, response).await;
    answered.unwrap_or_else(|status| {
        let error = ConnectError::of(&translation.schema, &status);
        error.into_response()
    })
}

/// The message of a request's body.
async fn read(translation: Arc<Translation>, call: Call, body: Body) -> Result<Bytes, Status> {
    let max_bytes = translation.max_bytes;
    let (body, _) = collect(body, max_bytes).await?;
    // What is compressed may be a thousand times as long.
    let bytes = match call.compression {
        Compression::Identity => body.len(),
        _ => usize::MAX,
    };
    let shared = Arc::clone(&translation);
    let read = move || {
        let text = call.compression.unpack(body, max_bytes)?;
        if call.codec == Codec::Proto {
            return Ok(text);
        }
        let wire = shared.schema.to_wire(call.input, &text, max_bytes);
        wire.map(Bytes::from).map_err(|error| match error {
            InvalidJson::Syntax(_) => Status::invalid_argument(format!("invalid JSON: {error}")),
            InvalidJson::TooLong(_) => Status::out_of_range(error.to_string()),
        })
    };
    translation.run(bytes, read).await
}

/// The response of a service that answered.
///
/// # Errors
/// With the status that the service answered.
async fn respond(
    translation: &Arc<Translation>,
    call: Call,
    response: Response<Body>,
) -> Result<Response<Body>, Status> {
    let (parts, body) = response.into_parts();
    check(&parts.headers)?;
    let (message, trailers) = collect(body, usize::MAX).await?;
    if let Some(trailers) = &trailers {
        check(trailers)?;
    }
    if message.len() < HEAD {
        return Err(Status::internal("the service sent no message"));
    }
    let message = message.slice(HEAD..);
    let body = match call.codec {
        Codec::Proto => message,
        Codec::Json => {
            let (shared, length) = (Arc::clone(translation), message.len());
            let write = move || {
                let json = shared.schema.to_json(call.output, &message);
                json.map(Bytes::from).map_err(|error| {
                    tracing::error!(%error, "a response has no JSON form");
                    Status::internal("the response has no JSON form; see the server's log")
                })
            };
            translation.run(length, write).await?
        }
    };
    let mut response = Response::new(Body::new(axum::body::Body::from(body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, call.codec.content_type());
    copy_metadata("", &parts.headers, headers);
    if let Some(trailers) = &trailers {
        copy_metadata("trailer-", trailers, headers);
    }
    Ok(response)
}

/// The status of headers or trailers, if it is an error.
fn check(headers: &HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

/// Copies metadata of the service, with names that begin with `prefix`.
fn copy_metadata(prefix: &str, from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        let is_grpc = name == header::CONTENT_TYPE || name.as_str().starts_with("grpc-");
        if is_grpc {
            continue;
        }
        if let Ok(name) = HeaderName::try_from(format!("{prefix}{name}")) {
            to.append(name, value.clone());
        }
    }
}

/// The bytes and the trailers of a body.
///
/// # Errors
/// OUT_OF_RANGE when there are more than `max_bytes`.
async fn collect(mut body: Body, max_bytes: usize) -> Result<(Bytes, Option<HeaderMap>), Status> {
    let (mut first, mut bytes, mut trailers) = (Bytes::new(), BytesMut::new(), None);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let data = match frame?.into_data() {
            Ok(data) => data,
            Err(frame) => {
                trailers = frame.into_trailers().ok();
                continue;
            }
        };
        if first.len() + bytes.len() + data.len() > max_bytes {
            return Err(Status::out_of_range(format!(
                "the body is longer than {max_bytes} bytes, the limit"
            )));
        }
        // Most bodies are one piece.
        if first.is_empty() && bytes.is_empty() {
            first = data;
            continue;
        }
        bytes.extend_from_slice(&std::mem::take(&mut first));
        bytes.extend_from_slice(&data);
    }
    let bytes = if bytes.is_empty() {
        first
    } else {
        bytes.freeze()
    };
    Ok((bytes, trailers))
}
