//! The body of a gRPC request that is made of a whole HTTP body when it is read.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use tonic::Status;
use tonic::body::Body;

/// Bytes before a message: a flag and its length.
pub(super) const HEAD: usize = 5;

/// A body with the one message of a future.
pub(super) fn body(message: impl Future<Output = Result<Bytes, Status>> + Send + 'static) -> Body {
    Body::new(MessageBody(Some(Box::pin(message))))
}

struct MessageBody(Option<Message>);

type Message = Pin<Box<dyn Future<Output = Result<Bytes, Status>> + Send>>;

impl HttpBody for MessageBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(message) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let message = ready!(message.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(Some(message.and_then(framed).map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

fn framed(message: Bytes) -> Result<Bytes, Status> {
    let length = u32::try_from(message.len());
    let length = length.map_err(|_| Status::out_of_range("the message is longer than 4 GiB"))?;
    let mut framed = BytesMut::with_capacity(HEAD + message.len());
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put(message);
    Ok(framed.freeze())
}
