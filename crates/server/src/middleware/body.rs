//! The body of an answer, watched for its `grpc-status`, which comes last; and bodies that end with the
//! server instead of holding up its end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::middleware::service::{RequestGuard, code_of};

const SHUTTING_DOWN: &str = "the server is shutting down";

/// A token's end, as a future that lives in a body.
pub(crate) struct Until(Pin<Box<WaitForCancellationFutureOwned>>);

impl Until {
    pub(crate) fn new(token: CancellationToken) -> Self {
        Self(Box::pin(token.cancelled_owned()))
    }
}

/// The body of a request whose client may hold it open for good.
pub(crate) struct ShutdownBody {
    inner: Body,
    until: Until,
}

impl ShutdownBody {
    pub(crate) fn new(inner: Body, until: Until) -> Self {
        Self { inner, until }
    }
}

impl HttpBody for ShutdownBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.until.0.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Status::unavailable(SHUTTING_DOWN))));
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer, which records the end of its request.
pub struct InstrumentedBody {
    inner: Body,
    /// Taken when the end is recorded.
    guard: Option<RequestGuard>,
    /// The code of a body that ends without `grpc-status`.
    without_status: Code,
    /// When this is over, the stream ends UNAVAILABLE.
    until: Option<Until>,
    cut: bool,
}

impl InstrumentedBody {
    pub(crate) fn new(
        inner: Body,
        guard: RequestGuard,
        without_status: Code,
        until: Option<Until>,
    ) -> Self {
        Self {
            inner,
            guard: Some(guard),
            without_status,
            until,
            cut: false,
        }
    }

    /// A body whose request's end is recorded already.
    pub(crate) fn ended(inner: Body) -> Self {
        Self {
            inner,
            guard: None,
            without_status: Code::Ok,
            until: None,
            cut: false,
        }
    }

    fn end(&mut self, code: Code) {
        if let Some(guard) = self.guard.take() {
            guard.end(code);
        }
    }

    /// The trailers of a stream that the shutdown ends.
    fn shut_down(&mut self) -> Frame<Bytes> {
        self.cut = true;
        self.end(Code::Unavailable);
        let mut trailers = http::HeaderMap::new();
        let status = Status::unavailable(SHUTTING_DOWN);
        if status.add_header(&mut trailers).is_err() {
            trailers.insert("grpc-status", http::HeaderValue::from_static("14"));
        }
        Frame::trailers(trailers)
    }
}

impl HttpBody for InstrumentedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.cut {
            return Poll::Ready(None);
        }
        if let Some(until) = &mut this.until
            && this.guard.is_some()
            && until.0.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Some(Ok(this.shut_down())));
        }
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.end(code_of(trailers).unwrap_or(this.without_status));
                }
            }
            Some(Err(status)) => this.end(status.code()),
            None => this.end(this.without_status),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.cut || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
