//! Detects the protocol of a request on the one port: gRPC, gRPC-Web, Connect or plain HTTP.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::response::IntoResponse as _;
use digits_telemetry::hosts::AllowedHosts;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::util::{Either, option_layer};
use tower::{Layer, Service};
use tower_http::cors::{Cors, CorsLayer};

use super::open_body::OpenBody;
use crate::config::SlowClientLimits;
use crate::connect::Connect;
use crate::connection::{ConnectionContext, OpenRequest};
use crate::limits::SharedLimits;
use crate::middleware::{
    InstrumentedService, Origin, Place, Purpose, RequestBody, RequestContext, ResponseFuture,
};

/// Dispatches each request of the port by its protocol. Clones share everything.
#[derive(Clone)]
pub(crate) struct ProtocolMux(Arc<Shared>);

/// A [`ProtocolMux`] for the requests of one connection.
#[derive(Clone)]
pub(crate) struct ConnectionMux {
    shared: Arc<Shared>,
    connection: Arc<ConnectionContext>,
}

struct Shared {
    grpc: InstrumentedService,
    browsers: Either<Cors<Browsers>, Browsers>,
    connect: Option<Connect>,
    limits: Arc<SharedLimits>,
    slow_clients: SlowClientLimits,
    /// Hosts that requests of browsers may name; any, if `None`.
    hosts: Option<AllowedHosts>,
}

/// Which requests of browsers are answered.
pub(crate) struct BrowserRules {
    /// Hosts that requests may name; any, if `None`.
    pub(crate) hosts: Option<AllowedHosts>,
    /// Answers pages of other origins.
    pub(crate) cors: Option<CorsLayer>,
}

/// What browsers call: gRPC-Web, Connect and plain HTTP.
#[derive(Clone)]
pub(crate) struct Browsers {
    web: GrpcWebService<InstrumentedService>,
    connect: Option<Connect>,
    http: Router,
}

impl Browsers {
    /// `http` answers what is neither gRPC nor gRPC-Web nor a method of `connect`; without it, that
    /// is 404.
    pub(crate) fn new(
        grpc: &InstrumentedService,
        connect: Option<Connect>,
        http: Option<Router>,
    ) -> Self {
        let nothing = async || {
            (
                StatusCode::NOT_FOUND,
                "not found; this port serves gRPC, gRPC-Web and Connect\n",
            )
        };
        let http = http.unwrap_or_else(|| Router::new().fallback(nothing));
        Self {
            web: GrpcWebLayer::new().layer(grpc.clone()),
            connect,
            // Prepares the routes once instead of in each clone.
            http: http.with_state(()),
        }
    }
}

impl ProtocolMux {
    pub(crate) fn new(
        grpc: InstrumentedService,
        browsers: Browsers,
        rules: BrowserRules,
        limits: Arc<SharedLimits>,
        slow_clients: SlowClientLimits,
    ) -> Self {
        Self(Arc::new(Shared {
            grpc,
            connect: browsers.connect.clone(),
            browsers: option_layer(rules.cors).layer(browsers),
            hosts: rules.hosts,
            limits,
            slow_clients,
        }))
    }

    /// For the requests of `connection`.
    pub(crate) fn on(&self, connection: &Arc<ConnectionContext>) -> ConnectionMux {
        ConnectionMux {
            shared: Arc::clone(&self.0),
            connection: Arc::clone(connection),
        }
    }
}

impl Service<Request<Incoming>> for ConnectionMux {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> ResponseFuture {
        let mux = &*self.shared;
        let mut request = request;
        RequestContext::arriving(&request, &self.connection).attach(&mut request);
        let protocol = Protocol::of(&request);
        if protocol == Protocol::Grpc && request.version() == Version::HTTP_2 {
            return mux.grpc.handle(request);
        }
        let open = OpenRequest::begin(&self.connection);
        if !open.has_memory() {
            let _ = mux.limits.no_memory();
            return plain_text(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many requests; try again\n",
            );
        }
        let origin = Origin::Connection(open);
        let place = Arc::new(Place::new(origin, Purpose::Probe, None));
        let (held, limits) = (Arc::clone(&place), mux.slow_clients);
        let is_stream = protocol == Protocol::Http
            && mux
                .connect
                .as_ref()
                .is_some_and(|it| it.is_stream(&request));
        let request = request.map(|body| {
            Body::new(match is_stream {
                true => RequestBody::messages(body, held, limits),
                false => RequestBody::whole(body, held, limits),
            })
        });
        let response = match protocol {
            Protocol::Grpc => plain_text(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "gRPC needs HTTP/2; over HTTP/1.1 use gRPC-Web (application/grpc-web+proto)\n",
            ),
            _ if mux.is_rebound(&request) => plain_text(
                StatusCode::MISDIRECTED_REQUEST,
                "this port answers browsers on localhost only; name this host in --allowed-host, or bind the port to another address with --listen\n",
            ),
            Protocol::GrpcWeb | Protocol::Http => match &mux.browsers {
                Either::Left(cors) => Box::pin(cors.clone().call(request)),
                Either::Right(browsers) => browsers.clone().call(request),
            },
        };
        Box::pin(async move {
            let response = response.await?;
            // The client of a stream may be quiet from now on.
            place.answered();
            Ok(response.map(|body| Body::new(OpenBody { body, place })))
        })
    }
}

impl Service<Request<Body>> for Browsers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        if Protocol::of(&request) == Protocol::GrpcWeb {
            return Box::pin(self.web.call(request));
        }
        if let Some(connect) = &self.connect
            && connect.has_path(request.uri().path())
        {
            return connect.call(request);
        }
        let response = self.http.call(request);
        Box::pin(async { Ok(response.await?.map(Body::new)) })
    }
}

impl Shared {
    /// Whether a browser was led to a loopback port under a foreign name (DNS rebinding), which
    /// gets around its same-origin policy.
    fn is_rebound(&self, request: &Request<Body>) -> bool {
        let Some(hosts) = &self.hosts else {
            return false;
        };
        match request.headers().get(header::HOST) {
            Some(host) => !host.to_str().is_ok_and(|host| hosts.allow(host)),
            None => request
                .uri()
                .authority()
                .is_some_and(|authority| !hosts.allow(authority.as_str())),
        }
    }
}

fn plain_text(status: StatusCode, text: &'static str) -> ResponseFuture {
    Box::pin(async move { Ok((status, text).into_response().map(Body::new)) })
}

#[derive(Debug, PartialEq, Eq)]
enum Protocol {
    Grpc,
    GrpcWeb,
    /// Plain HTTP, to which Connect belongs.
    Http,
}

impl Protocol {
    fn of<B>(request: &Request<B>) -> Self {
        Self::of_content_type(request.headers().get(header::CONTENT_TYPE))
    }

    fn of_content_type(content_type: Option<&HeaderValue>) -> Self {
        let value = content_type.map_or(&b""[..], HeaderValue::as_bytes);
        match value.strip_prefix(b"application/grpc") {
            Some(rest) if rest.starts_with(b"-web") => Self::GrpcWeb,
            Some([] | [b'+' | b';' | b' ', ..]) => Self::Grpc,
            _ => Self::Http,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_decides_the_protocol() {
        for (content_type, expected) in [
            (Some("application/grpc"), Protocol::Grpc),
            (Some("application/grpc+proto"), Protocol::Grpc),
            (Some("application/grpc; charset=utf-8"), Protocol::Grpc),
            (Some("application/grpc-web"), Protocol::GrpcWeb),
            (Some("application/grpc-web-text+proto"), Protocol::GrpcWeb),
            (Some("application/grpcx"), Protocol::Http),
            (Some("application/connect+json"), Protocol::Http),
            (Some("application/json"), Protocol::Http),
            (None, Protocol::Http),
        ] {
            let value = content_type.map(HeaderValue::from_static);
            assert_eq!(
                Protocol::of_content_type(value.as_ref()),
                expected,
                "{content_type:?}"
            );
        }
    }
}
