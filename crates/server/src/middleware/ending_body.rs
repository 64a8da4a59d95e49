//! A body that ends with its connection's age or the server: for streams that clients hold open for
//! good.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body as HttpBody, Frame};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::{Code, Status};

/// Ends with the trailers of UNAVAILABLE when its token is cancelled, otherwise as `inner` does.
pub(super) struct EndingBody {
    inner: Body,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl EndingBody {
    pub(super) fn wrap(inner: Body, end: &CancellationToken) -> Body {
        Body::new(Self {
            inner,
            end: Box::pin(end.clone().cancelled_owned()),
            ended: false,
        })
    }
}

impl HttpBody for EndingBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.end.as_mut().poll(cx).is_ready() {
            self.ended = true;
            return Poll::Ready(Some(Ok(Frame::trailers(unavailable()))));
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.ended = match &frame {
            Some(Ok(frame)) => frame.is_trailers(),
            _ => true,
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }
}

fn unavailable() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let status = Status::unavailable("the server closes this connection; open the stream again");
    if status.add_header(&mut trailers).is_err() {
        let code = HeaderValue::from(Code::Unavailable as i32);
        trailers.insert("grpc-status", code);
    }
    trailers
}
