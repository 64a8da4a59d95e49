//! Tells gRPC, gRPC-Web and plain HTTP apart on the one port. Does not know the services.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::routing::future::RouteFuture;
use digits_telemetry::listen::names_loopback;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service};

use crate::flight::{FlightFuture, FlightService};

/// The whole port.
#[derive(Clone)]
pub(crate) struct Front {
    grpc: FlightService,
    web: GrpcWebService<FlightService>,
    pages: Option<Router>,
    /// Answer browsers only under a loopback name.
    loopback_only: bool,
}

impl Front {
    pub(crate) fn new(grpc: FlightService, pages: Option<Router>, loopback_only: bool) -> Self {
        Self {
            web: GrpcWebLayer::new().layer(grpc.clone()),
            grpc,
            pages: pages.map(|router| router.with_state(())),
            loopback_only,
        }
    }

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

impl Service<Request<Body>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = FrontFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // None of the three ever waits.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> FrontFuture {
        let kind = kind(request.headers().get(header::CONTENT_TYPE));
        if kind == Kind::Grpc {
            if request.version() != Version::HTTP_2 {
                return FrontFuture::text(
                    StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                    "gRPC needs HTTP/2; over HTTP/1.1 use gRPC-Web (application/grpc-web+proto)\n",
                );
            }
            return FrontFuture::Grpc(self.grpc.call(request));
        }
        if self.is_foreign(&request) {
            return FrontFuture::text(
                StatusCode::MISDIRECTED_REQUEST,
                "this port answers browsers on localhost only; bind it to another address to reach it by name\n",
            );
        }
        match (kind, &mut self.pages) {
            (Kind::GrpcWeb, _) => FrontFuture::Web(self.web.call(request)),
            (_, Some(pages)) => FrontFuture::Page(pages.call(request)),
            (_, None) => FrontFuture::text(
                StatusCode::NOT_FOUND,
                "this port speaks gRPC and gRPC-Web\n",
            ),
        }
    }
}

/// The answer of whichever it was.
pub(crate) enum FrontFuture {
    Grpc(FlightFuture),
    Web(<GrpcWebService<FlightService> as Service<Request<Body>>>::Future),
    Page(RouteFuture<Infallible>),
    Text(StatusCode, &'static str),
}

impl FrontFuture {
    fn text(status: StatusCode, text: &'static str) -> Self {
        Self::Text(status, text)
    }
}

impl Future for FrontFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Grpc(future) => Pin::new(future).poll(cx),
            Self::Web(future) => Pin::new(future).poll(cx),
            Self::Page(future) => {
                Poll::Ready(Ok(ready!(Pin::new(future).poll(cx))?.map(Body::new)))
            }
            Self::Text(status, text) => {
                let mut response = Response::new(Body::new(axum::body::Body::from(*text)));
                *response.status_mut() = *status;
                response.headers_mut().insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("text/plain; charset=utf-8"),
                );
                Poll::Ready(Ok(response))
            }
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
