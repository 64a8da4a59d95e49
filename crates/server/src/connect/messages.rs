//! Messages in a body, each after a flag and its length: the form of gRPC, and of Connect's streams.

use std::future::{Future, poll_fn};
use std::pin::Pin;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::{Stream, stream};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use http_body_util::StreamBody;
use tonic::Status;
use tonic::body::Body;

/// Bytes before a message: its flag, and its length.
const HEAD: usize = 5;

/// A body with the one message that a future gives.
pub(super) fn one(message: impl Future<Output = Result<Bytes, Status>> + Send + 'static) -> Body {
    body(stream::once(async { framed(0, &message.await?) }))
}

/// A body of messages that have their heads.
pub(super) fn body(messages: impl Stream<Item = Result<Bytes, Status>> + Send + 'static) -> Body {
    use futures::StreamExt as _;
    Body::new(StreamBody::new(
        messages.map(|message| message.map(Frame::data)),
    ))
}

/// A message with its head.
///
/// # Errors
/// OUT_OF_RANGE when the length does not fit.
pub(super) fn framed(flag: u8, message: &[u8]) -> Result<Bytes, Status> {
    let length = u32::try_from(message.len());
    let length = length.map_err(|_| Status::out_of_range("the message is longer than 4 GiB"))?;
    let mut framed = BytesMut::with_capacity(HEAD + message.len());
    framed.put_u8(flag);
    framed.put_u32(length);
    framed.put_slice(message);
    Ok(framed.freeze())
}

/// The messages of a body.
pub(super) struct Messages {
    body: Body,
    received: BytesMut,
    max_bytes: usize,
    trailers: Option<HeaderMap>,
}

impl Messages {
    /// Each of at most `max_bytes`.
    pub(super) fn of(body: Body, max_bytes: usize) -> Self {
        Self {
            body,
            received: BytesMut::new(),
            max_bytes,
            trailers: None,
        }
    }

    /// The next message with its flag; `None` at the end of the body.
    ///
    /// # Errors
    /// That of the body; OUT_OF_RANGE when a message is too long, and INVALID_ARGUMENT when the body
    /// ends within one.
    pub(super) async fn next(&mut self) -> Result<Option<(u8, Bytes)>, Status> {
        loop {
            if let Some(message) = self.split()? {
                return Ok(Some(message));
            }
            let body = &mut self.body;
            let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await else {
                break;
            };
            match frame?.into_data() {
                Ok(data) => self.received.put(data),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
        if self.received.is_empty() {
            Ok(None)
        } else {
            Err(Status::invalid_argument("the body ends within a message"))
        }
    }

    /// The trailers, once the body has ended.
    pub(super) fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    fn split(&mut self) -> Result<Option<(u8, Bytes)>, Status> {
        let Some(head) = self.received.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let (flag, length) = (head[0], &head[1..]);
        let length = length
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        let max_bytes = self.max_bytes;
        if length > max_bytes {
            return Err(Status::out_of_range(format!(
                "the message has {length} bytes, more than {max_bytes}, the limit"
            )));
        }
        if self.received.len() < HEAD + length {
            return Ok(None);
        }
        self.received.advance(HEAD);
        Ok(Some((flag, self.received.split_to(length).freeze())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn parts(bytes: Vec<u8>, size: usize) -> Body {
        let parts: Vec<_> = bytes
            .chunks(size)
            .map(|part| Ok(Bytes::copy_from_slice(part)))
            .collect();
        body(stream::iter(parts))
    }

    #[tokio::test]
    async fn messages_are_split_however_they_arrive() {
        let texts = [&b"seven"[..], b"", b"three thousand"];
        let framed = texts.map(|text| framed(1, text).expect("short"));
        let bytes = framed.concat();
        for size in [1, 3, 5, 7, 100] {
            let mut messages = Messages::of(parts(bytes.clone(), size), 100);
            for text in texts {
                let next = messages.next().await.expect("a body").expect("a message");
                assert_eq!(next, (1, Bytes::from_static(text)), "{size}");
            }
            assert_eq!(messages.next().await.expect("a body"), None);
        }
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_or_incomplete_is_an_error() {
        let bytes = framed(0, b"seven").expect("short").to_vec();
        for (bytes, max, code) in [
            (bytes.clone(), 4, Code::OutOfRange),
            (bytes[..9].to_vec(), 5, Code::InvalidArgument),
            (bytes[..4].to_vec(), 5, Code::InvalidArgument),
            // Refused before it has arrived.
            (vec![0, 255, 255, 255, 255], 1 << 20, Code::OutOfRange),
        ] {
            let mut messages = Messages::of(parts(bytes, 3), max);
            let error = messages.next().await.expect_err("wrong");
            assert_eq!(error.code(), code, "{error}");
        }
    }
}
