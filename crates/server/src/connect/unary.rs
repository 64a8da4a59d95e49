//! Calls with one request and one response.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Request, Response, header};
use http_body::Body as _;
use tonic::Status;
use tonic::body::Body;

use super::call::{Call, check, copy_metadata};
use super::error::ConnectError;
use super::messages::{self, Messages};
use super::translation::Translation;

/// Calls the service, and translates its response.
pub(super) async fn answer(
    translation: Arc<Translation>,
    call: Call,
    request: Request<Body>,
) -> Response<Body> {
    let (shared, reading) = (Arc::clone(&translation), call.reading.clone());
    let (compression, max_bytes) = (call.compression, call.max_bytes);
    let read = async move |body| {
        let body = collect(body, max_bytes).await?;
        shared.read(reading, compression, body, max_bytes).await
    };
    let request = request.map(|body| messages::one(read(body)));
    let Ok(response) = translation.service.handle(request).await;
    let answered = respond(&translation, &call, response).await;
    answered.unwrap_or_else(|status| {
        let error = ConnectError::of(&translation.schema, &status);
        error.into_response()
    })
}

/// The response of a service that answered.
///
/// # Errors
/// With the status that the service answered.
async fn respond(
    translation: &Arc<Translation>,
    call: &Call,
    response: Response<Body>,
) -> Result<Response<Body>, Status> {
    let (parts, body) = response.into_parts();
    check(&parts.headers)?;
    let mut messages = Messages::of(body, usize::MAX);
    let mut message = None;
    while let Some((_, next)) = messages.next().await? {
        message = Some(next);
    }
    messages.trailers().map_or(Ok(()), check)?;
    let no_message = || Status::internal("the service sent no message");
    let message = message.ok_or_else(no_message)?;
    let body = translation.write(call.writing, message).await?;
    let mut response = Response::new(Body::new(axum::body::Body::from(body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, call.content_type.clone());
    copy_metadata("", &parts.headers, headers);
    if let Some(trailers) = messages.trailers() {
        copy_metadata("trailer-", trailers, headers);
    }
    Ok(response)
}

/// The bytes of a body.
///
/// # Errors
/// OUT_OF_RANGE when there are more than `max_bytes`.
async fn collect(mut body: Body, max_bytes: usize) -> Result<Bytes, Status> {
    let (mut first, mut bytes) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if first.len() + bytes.len() + data.len() > max_bytes {
            return Err(Status::out_of_range(format!(
                "the body is longer than {max_bytes} bytes, the limit"
            )));
        }
        // Most bodies are one piece.
        if first.is_empty() && bytes.is_empty() {
            first = data;
        } else {
            bytes.put(std::mem::take(&mut first));
            bytes.put(data);
        }
    }
    Ok(if bytes.is_empty() {
        first
    } else {
        bytes.freeze()
    })
}
