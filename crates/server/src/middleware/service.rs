//! The services of the port, behind authentication, limits, deadlines and metrics. Speaks gRPC over
//! HTTP/2 trailers; gRPC-Web is translated before.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::guard::{RequestGuard, ServiceKind};
use super::shutdown_body::ShutdownBody;
use super::state::ServerState;
use crate::serve::router::{RouteFuture, Routes};

/// The response of an [`InstrumentedService`].
pub type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send + 'static>>;

/// The services of a port as its clients see them. Generated clients can call it without a network:
/// see [`GrpcServer::with_http`](crate::GrpcServer::with_http).
#[derive(Clone)]
pub struct InstrumentedService {
    routes: Arc<Routes>,
    state: Arc<ServerState>,
}

impl InstrumentedService {
    pub(crate) fn new(routes: Routes, state: Arc<ServerState>) -> Self {
        Self {
            routes: Arc::new(routes),
            state,
        }
    }

    /// Admits a request, calls its service until its deadline, and records its end.
    pub(crate) fn handle(&self, mut request: Request<Body>) -> ResponseFuture {
        let mut guard = RequestGuard::begin(&self.state, &mut request);
        let called = self
            .admit(&mut guard, request.headers())
            .map(|()| self.call(guard.kind(), request));
        Box::pin(async move {
            let response = match called {
                Ok(response) => guard.deadline().limit(response).await.map(|Ok(it)| it),
                Err(status) => Err(status),
            };
            Ok(guard.follow(response.unwrap_or_else(Status::into_http)))
        })
    }

    fn admit(&self, guard: &mut RequestGuard, headers: &HeaderMap) -> Result<(), Status> {
        if guard.kind() != ServiceKind::Health {
            guard.set_token_name(self.state.authenticate(headers)?);
            guard.hold(self.state.limit()?);
        }
        Ok(())
    }

    /// Streams that clients hold open for good end at the shutdown. A client of reflection may also
    /// keep its own side open, and its stream ends with both.
    fn call(&self, kind: ServiceKind, request: Request<Body>) -> RouteFuture {
        if kind == ServiceKind::Application {
            return self.routes.call(request);
        }
        let shutdown = self.state.shutdown.clone();
        let request = match kind {
            ServiceKind::Reflection => request.map(|body| ShutdownBody::wrap(body, &shutdown)),
            _ => request,
        };
        let response = self.routes.call(request);
        Box::pin(async move {
            Ok(response
                .await?
                .map(|body| ShutdownBody::wrap(body, &shutdown)))
        })
    }
}

impl Service<Request<Body>> for InstrumentedService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        self.handle(request)
    }
}

#[cfg(test)]
mod tests;
