//! Tells gRPC, gRPC-Web and plain HTTP apart on the one port. Does not know the services.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::Router;
use axum::routing::future::RouteFuture;
use bytes::Bytes;
use digits_telemetry::listen::names_loopback;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service};

use crate::middleware::body::InstrumentedBody;
use crate::middleware::deadline::Deadline;
use crate::middleware::service::{InstrumentedService, REQUEST_ID, ResponseFuture, request_id};

/// The whole port.
#[derive(Clone)]
pub(crate) struct ProtocolMux(Arc<Doors>);

struct Doors {
    grpc: InstrumentedService,
    web: GrpcWebService<InstrumentedService>,
    pages: Option<Router>,
    /// Answer browsers only under a loopback name.
    loopback_only: bool,
}

impl ProtocolMux {
    pub(crate) fn new(
        grpc: InstrumentedService,
        pages: Option<Router>,
        loopback_only: bool,
    ) -> Self {
        Self(Arc::new(Doors {
            web: GrpcWebLayer::new().layer(grpc.clone()),
            grpc,
            pages: pages.map(|router| router.with_state(())),
            loopback_only,
        }))
    }
}

impl Doors {
    /// Whether a browser was led here under a foreign name (DNS rebinding), and so past its own rule that
    /// a page may only talk to where it came from.
    fn is_foreign(&self, request: &Request<Body>) -> bool {
        if !self.loopback_only {
            return false;
        }
        match request.headers().get(header::HOST) {
            Some(host) => !host.to_str().is_ok_and(names_loopback),
            None => request
                .uri()
                .authority()
                .is_some_and(|authority| !names_loopback(authority.as_str())),
        }
    }
}

/// What a request is by its content type.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Grpc,
    GrpcWeb,
    Plain,
}

fn kind(content_type: Option<&HeaderValue>) -> Kind {
    let value = content_type.map_or(&b""[..], HeaderValue::as_bytes);
    match value.strip_prefix(b"application/grpc") {
        Some(rest) if rest.starts_with(b"-web") => Kind::GrpcWeb,
        Some([] | [b'+' | b';' | b' ', ..]) => Kind::Grpc,
        _ => Kind::Plain,
    }
}

impl hyper::service::Service<Request<Incoming>> for ProtocolMux {
    type Response = Response<MuxBody>;
    type Error = Infallible;
    type Future = MuxFuture;

    fn call(&self, request: Request<Incoming>) -> MuxFuture {
        let doors = &*self.0;
        let mut request = request.map(Body::new);
        let kind = kind(request.headers().get(header::CONTENT_TYPE));
        if kind == Kind::Grpc {
            if request.version() != Version::HTTP_2 {
                return MuxFuture::text(
                    &request,
                    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                    "gRPC needs HTTP/2; over HTTP/1.1 use gRPC-Web (application/grpc-web+proto)\n",
                );
            }
            return MuxFuture::Grpc(doors.grpc.begin(request));
        }
        if doors.is_foreign(&request) {
            return MuxFuture::text(
                &request,
                StatusCode::MISDIRECTED_REQUEST,
                "this port answers browsers on localhost only; bind it to another address to reach it by name\n",
            );
        }
        match (kind, &doors.pages) {
            (Kind::GrpcWeb, _) => MuxFuture::Web(doors.web.clone().call(request)),
            (_, Some(pages)) => {
                let id = request_id(request.headers());
                // Its time runs from here, not from the call that is made once the body was read.
                Deadline::attach(&mut request, Instant::now());
                MuxFuture::Page(pages.clone().call(request), id)
            }
            (_, None) => MuxFuture::text(
                &request,
                StatusCode::NOT_FOUND,
                "this port speaks gRPC and gRPC-Web\n",
            ),
        }
    }
}

/// The answer of whichever it was.
pub(crate) enum MuxFuture {
    Grpc(ResponseFuture),
    Web(<GrpcWebService<InstrumentedService> as Service<Request<Body>>>::Future),
    /// With the id that is echoed.
    Page(RouteFuture<Infallible>, Option<HeaderValue>),
    Text(StatusCode, &'static str, Option<HeaderValue>),
}

impl MuxFuture {
    fn text(request: &Request<Body>, status: StatusCode, text: &'static str) -> Self {
        Self::Text(status, text, request_id(request.headers()))
    }
}

impl Future for MuxFuture {
    type Output = Result<Response<MuxBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match &mut *self {
            Self::Grpc(future) => ready!(Pin::new(future).poll(cx))?.map(MuxBody::Grpc),
            Self::Web(future) => ready!(Pin::new(future).poll(cx))?.map(MuxBody::Other),
            Self::Page(future, id) => {
                let mut response = ready!(Pin::new(future).poll(cx))?;
                if let Some(id) = id.take() {
                    response.headers_mut().insert(REQUEST_ID, id);
                }
                response.map(|body| MuxBody::Other(Body::new(body)))
            }
            Self::Text(status, text, id) => {
                let text = Body::new(axum::body::Body::from(*text));
                let mut response = Response::new(MuxBody::Other(text));
                *response.status_mut() = *status;
                response.headers_mut().insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("text/plain; charset=utf-8"),
                );
                if let Some(id) = id.take() {
                    response.headers_mut().insert(REQUEST_ID, id);
                }
                response
            }
        };
        Poll::Ready(Ok(response))
    }
}

/// Its body.
pub(crate) enum MuxBody {
    Grpc(InstrumentedBody),
    Other(Body),
}

impl HttpBody for MuxBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match &mut *self {
            Self::Grpc(body) => Pin::new(body).poll_frame(cx),
            Self::Other(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Grpc(body) => body.is_end_stream(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Grpc(body) => body.size_hint(),
            Self::Other(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_told_apart() {
        for (content_type, expected) in [
            (Some("application/grpc"), Kind::Grpc),
            (Some("application/grpc+proto"), Kind::Grpc),
            (Some("application/grpc; charset=utf-8"), Kind::Grpc),
            (Some("application/grpc-web"), Kind::GrpcWeb),
            (Some("application/grpc-web-text+proto"), Kind::GrpcWeb),
            (Some("application/grpcx"), Kind::Plain),
            (Some("application/json"), Kind::Plain),
            (None, Kind::Plain),
        ] {
            let value = content_type.map(HeaderValue::from_static);
            assert_eq!(kind(value.as_ref()), expected, "{content_type:?}");
        }
    }
}
