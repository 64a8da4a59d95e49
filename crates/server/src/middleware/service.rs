//! The services of the port, behind authentication, limits, deadlines and metrics. Speaks gRPC over
//! HTTP/2 trailers; gRPC-Web is translated before.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::access::Access;
use super::access_log::RequestLogging;
use super::audit::AuditLog;
use super::compression::accept_own_encoding;
use super::context::RequestContext;
use super::ending_body::EndingBody;
use super::guard::{RequestGuard, ServiceKind};
use super::metrics::RequestMetrics;
use super::place::Place;
use super::request_body::RequestBody;
use crate::config::{ServerConfig, SlowClientLimits};
use crate::credentials::{AuthenticationError, Credentials, Identity, Refusal};
use crate::limits::SharedLimits;
use crate::serve::router::{RouteFuture, Routes, name_unknown_method};

/// The response of an [`InstrumentedService`].
pub type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send + 'static>>;

/// The services of a port as its clients see them. Generated clients can call it without a network:
/// see [`GrpcServer::with_http`](crate::GrpcServer::with_http).
#[derive(Clone)]
pub struct InstrumentedService {
    routes: Arc<Routes>,
    state: Arc<ServerState>,
    slow_clients: SlowClientLimits,
}

impl InstrumentedService {
    pub(crate) fn new(routes: Routes, state: Arc<ServerState>) -> Self {
        Self {
            routes: Arc::new(routes),
            slow_clients: state.slow_clients,
            state,
        }
    }

    /// The same services for bodies that limit by themselves how slowly they arrive.
    pub(crate) fn with_paced_bodies(&self) -> Self {
        let mut service = self.clone();
        service.slow_clients.unfinished_request = Duration::MAX;
        service
    }

    /// Counts and logs a request that ended with `code` before it was a call.
    pub(crate) fn count<B>(&self, request: &mut Request<B>, code: Code) {
        self.state.begin(request).finish(code);
    }

    /// Authenticates a request, calls its service until its deadline, and records its end.
    pub(crate) fn handle<B>(&self, mut request: Request<B>) -> ResponseFuture
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let guard = self.state.begin(&mut request);
        accept_own_encoding(request.headers_mut());
        match self.authenticate(&guard, &request) {
            Err(Refusal {
                keys: Some(keys), ..
            }) => {
                let service = self.clone();
                Box::pin(async move {
                    keys.fetched().await;
                    let client = service.authenticate(&guard, &request);
                    service.answer(guard, request, client).await
                })
            }
            client => self.answer(guard, request, client),
        }
    }

    /// The client of a request; `None` where clients need not prove who they are, and for probes.
    fn authenticate<B>(
        &self,
        guard: &RequestGuard,
        request: &Request<B>,
    ) -> Result<Option<Identity>, Refusal> {
        if guard.kind().is_health() {
            return Ok(None);
        }
        self.state.authenticate(request)
    }

    /// Calls the service of an authenticated request.
    fn answer<B>(
        &self,
        mut guard: RequestGuard,
        mut request: Request<B>,
        client: Result<Option<Identity>, Refusal>,
    ) -> ResponseFuture
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let undeclared = (!guard.is_declared()).then(|| request.uri().path().to_owned());
        let admitted = client.map_err(|refusal| refused(refusal.reason));
        let admitted = admitted.and_then(|client| self.admit(&mut guard, &mut request, client));
        let called = admitted.map(|place| {
            let limits = self.slow_clients;
            let request = request.map(|body| Body::new(RequestBody::messages(body, place, limits)));
            self.call(guard.kind(), request)
        });
        Box::pin(async move {
            let response = match called {
                Ok(response) => guard.deadline().limit(response).await.map(|Ok(it)| it),
                Err(status) => Err(status),
            };
            let response = response.unwrap_or_else(Status::into_http);
            let response = match undeclared {
                Some(path) => name_unknown_method(response, &path),
                None => response,
            };
            Ok(guard.follow(response))
        })
    }

    /// Authorizes a request of `client`; returns the place that its first message takes.
    fn admit<B>(
        &self,
        guard: &mut RequestGuard,
        request: &mut Request<B>,
        client: Option<Identity>,
    ) -> Result<Arc<Place>, Status> {
        let name = client.as_ref().map(|client| Arc::clone(&client.name));
        if !guard.kind().is_health() {
            guard.set_client_name(name.clone());
            self.state.authorize(guard, request, client)?;
        }
        guard.hold_place(&self.state.limits, name.as_ref())
    }

    /// Streams that clients hold open for good end at the age of their connection and at the
    /// shutdown. A client of reflection may also keep its own side open, and its stream ends with
    /// both.
    fn call(&self, kind: ServiceKind, request: Request<Body>) -> RouteFuture {
        if kind == ServiceKind::Application {
            return self.routes.call(request);
        }
        let end = RequestContext::of(request.extensions()).end_of_streams(&self.state.shutdown);
        let request = match kind {
            ServiceKind::Reflection => request.map(|body| EndingBody::wrap(body, &end)),
            _ => request,
        };
        let response = self.routes.call(request);
        Box::pin(async move { Ok(response.await?.map(|body| EndingBody::wrap(body, &end))) })
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

/// State shared by all requests of a server.
pub(crate) struct ServerState {
    metrics: RequestMetrics,
    logging: RequestLogging,
    credentials: Credentials,
    access: Access,
    audit_log: Option<AuditLog>,
    /// Ends the streams that clients hold open for good.
    pub(crate) shutdown: CancellationToken,
    pub(crate) limits: Arc<SharedLimits>,
    slow_clients: SlowClientLimits,
}

impl ServerState {
    pub(crate) fn new(
        config: &ServerConfig,
        metrics: RequestMetrics,
        shutdown: CancellationToken,
    ) -> Self {
        let limits = SharedLimits::new(config, metrics.prefix());
        Self {
            metrics,
            logging: RequestLogging {
                access_log: config.access_log,
                traces: config.traces.clone(),
            },
            credentials: config.credentials.clone(),
            access: Access::new(config.roles),
            audit_log: config.audit_log.clone(),
            shutdown,
            limits: Arc::new(limits),
            slow_clients: config.slow_clients,
        }
    }

    /// Begins to account for a request.
    pub(crate) fn begin<B>(&self, request: &mut Request<B>) -> RequestGuard {
        RequestGuard::begin(&self.metrics, &self.logging, request)
    }

    /// Requests that have a place under the limit.
    pub(crate) fn in_flight(&self) -> usize {
        self.limits.places.used()
    }

    /// The client of a request; `None` where clients need not prove who they are.
    pub(crate) fn authenticate<B>(
        &self,
        request: &Request<B>,
    ) -> Result<Option<Identity>, Refusal> {
        if !self.credentials.needs_identity() {
            return Ok(None);
        }
        let context = request.extensions().get::<RequestContext>();
        let connection = context.and_then(|context| context.connection.as_ref());
        let certificate = connection.and_then(|connection| connection.certificate());
        self.credentials
            .authenticate(request.headers(), certificate)
    }

    /// Checks that `client` may call the method, and puts the client into the request's context.
    /// A call that may change something gets a line in the audit log, refused or not.
    ///
    /// # Errors
    /// PERMISSION_DENIED when the client has none of the method's roles.
    fn authorize<B>(
        &self,
        guard: &mut RequestGuard,
        request: &mut Request<B>,
        client: Option<Identity>,
    ) -> Result<(), Status> {
        let path = request.uri().path();
        let audit_log = self.audit_log.as_ref();
        let audit_log = audit_log.filter(|_| self.access.is_change(path));
        let audit_fields =
            audit_log.map(|log| guard.audit(log.clone(), client.clone(), request.headers()));
        if let Some(client) = &client
            && guard.kind() == ServiceKind::Application
        {
            self.access.check(path, client)?;
        }
        if (client.is_some() || audit_fields.is_some())
            && let Some(context) = request.extensions_mut().get_mut::<RequestContext>()
        {
            context.client = client;
            context.audit_fields = audit_fields;
        }
        Ok(())
    }
}

/// The status of a request that is not authenticated.
pub(crate) fn refused(reason: AuthenticationError) -> Status {
    match reason {
        AuthenticationError::NoKeys => Status::unavailable(reason.to_string()),
        _ => Status::unauthenticated(reason.to_string()),
    }
}

#[cfg(test)]
mod tests;
