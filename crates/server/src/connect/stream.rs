//! Calls with several requests or responses: each message after a flag and its length, and at the
//! end of the responses a JSON document with the error and the trailers
//! (<https://connectrpc.com/docs/protocol/#streaming-rpcs>).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Request, Response, header};
use serde::Serialize;
use tonic::Status;
use tonic::body::Body;

use super::call::{Call, check, copy_metadata};
use super::compression::Compression;
use super::error::ConnectError;
use super::messages::{Messages, body, framed};
use super::translation::{Translation, Writing};

const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;
const END_OF_STREAM: u8 = 2;

/// Calls the service, and translates its responses as they come.
pub(super) async fn answer(
    translation: Arc<Translation>,
    call: Call,
    request: Request<Body>,
) -> Response<Body> {
    let (writing, content_type) = (call.writing, call.content_type.clone());
    let shared = Arc::clone(&translation);
    let request = request.map(|body| requests(shared, call, body));
    let Ok(response) = translation.service.handle(request).await;
    let (parts, body) = response.into_parts();
    let messages = match check(&parts.headers) {
        Ok(()) => Ok(Messages::of(body, usize::MAX)),
        Err(status) => Err(status),
    };
    let mut response = Response::new(responses(translation, writing, messages));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    copy_metadata("", &parts.headers, headers);
    response
}

/// The requests as gRPC has them.
fn requests(translation: Arc<Translation>, call: Call, received: Body) -> Body {
    let messages = Messages::of(received, call.max_bytes);
    let state = (translation, call, messages);
    body(stream::try_unfold(state, async |mut state| {
        let (translation, call, messages) = &mut state;
        let Some((flag, message)) = messages.next().await? else {
            return Ok(None);
        };
        let compression = match (flag, call.compression) {
            (PLAIN, _) => Compression::Identity,
            (COMPRESSED, compression) if compression != Compression::Identity => compression,
            _ => {
                return Err(Status::invalid_argument(format!(
                    "invalid flag {flag}: use 0 for an uncompressed message, or 1 with connect-content-encoding"
                )));
            }
        };
        let reading = call.reading.clone();
        let message = translation
            .read(reading, compression, message, call.max_bytes)
            .await?;
        let message = framed(PLAIN, &message)?;
        Ok(Some((message, state)))
    }))
}

/// The responses as Connect has them, or the error that is there instead.
fn responses(
    translation: Arc<Translation>,
    writing: Writing,
    messages: Result<Messages, Status>,
) -> Body {
    body(stream::unfold(Some(messages), move |state| {
        let translation = Arc::clone(&translation);
        async move {
            let mut messages = match state? {
                Ok(messages) => messages,
                Err(status) => return Some((end(&translation, &status, None), None)),
            };
            match next(&translation, writing, &mut messages).await {
                Ok(Some(message)) => Some((Ok(message), Some(Ok(messages)))),
                Ok(None) => {
                    let trailers = messages.trailers();
                    let status = trailers.map_or(Ok(()), check);
                    let status = status.err().unwrap_or_else(|| Status::ok(""));
                    Some((end(&translation, &status, trailers), None))
                }
                Err(status) => Some((end(&translation, &status, None), None)),
            }
        }
    }))
}

async fn next(
    translation: &Arc<Translation>,
    writing: Writing,
    messages: &mut Messages,
) -> Result<Option<Bytes>, Status> {
    let Some((_, message)) = messages.next().await? else {
        return Ok(None);
    };
    let message = translation.write(writing, message).await?;
    framed(PLAIN, &message).map(Some)
}

/// The last message of the responses.
fn end(
    translation: &Translation,
    status: &Status,
    trailers: Option<&HeaderMap>,
) -> Result<Bytes, Status> {
    #[derive(Serialize)]
    struct End {
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<ConnectError>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        metadata: BTreeMap<String, Vec<String>>,
    }
    let mut copied = HeaderMap::new();
    if let Some(trailers) = trailers {
        copy_metadata("", trailers, &mut copied);
    }
    let mut metadata: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &copied {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        metadata.entry(name.to_string()).or_default().push(value);
    }
    let is_error = status.code() != tonic::Code::Ok;
    let end = End {
        error: is_error.then(|| ConnectError::of(&translation.schema, status)),
        metadata,
    };
    framed(END_OF_STREAM, &serde_json::to_vec(&end).unwrap_or_default())
}
