//! Every gRPC request from its headers to the end of its answer: let in, metered, and limited in number. Speaks
//! only gRPC over HTTP/2's trailers; gRPC-Web is translated before it gets here.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::time::{Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use crate::credentials::Credentials;
use crate::middleware::access_log::{RequestLog, RequestLogging};
use crate::middleware::body::{InstrumentedBody, ShutdownBody, Until};
use crate::middleware::deadline::Deadline;
use crate::middleware::metrics::{Method, RequestMetrics};
use crate::serve::router::{RouteFuture, Routes};
use crate::status::retry_status;

/// Told to clients that come over the limit.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Probes must be answered under load, or the orchestrator kills a busy server.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// Streams that clients hold open for good.
const REFLECTION: &str = "/grpc.reflection.";

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// By this callers find their request again in the logs of the services that it went through: what it says is echoed.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest one that is echoed, in bytes.
pub(crate) const MAX_REQUEST_ID: usize = 128;

/// The id that is to be echoed.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(REQUEST_ID)?;
    (id.len() <= MAX_REQUEST_ID).then(|| id.clone())
}

/// What all requests of a server share.
pub(crate) struct ServerState {
    pub(crate) metrics: RequestMetrics,
    pub(crate) logging: RequestLogging,
    pub(crate) max_in_flight: usize,
    pub(crate) in_flight: AtomicUsize,
    /// Who may call.
    pub(crate) credentials: Credentials,
    /// Ends the streams that would hold up a shutdown for ever.
    pub(crate) shutdown: CancellationToken,
}

/// One request. Dropping it before its end records CANCELLED or DEADLINE_EXCEEDED, so that every
/// request is counted.
pub(crate) struct RequestGuard {
    state: Arc<ServerState>,
    method: Method,
    started: Instant,
    deadline: Deadline,
    /// Whether it holds one of the places under the limit.
    limited: bool,
    ended: bool,
    /// Of the few that are told of one by one.
    entry: Option<Box<RequestLog>>,
}

impl RequestGuard {
    /// `token` is the name of the token that the request brought. Puts the deadline into the
    /// request's extensions.
    pub(crate) fn begin<B>(
        state: &Arc<ServerState>,
        request: &mut Request<B>,
        limited: bool,
        token: Option<Arc<str>>,
    ) -> Self {
        state.metrics.begin();
        let started = Instant::now();
        let deadline = Deadline::attach(request, started);
        let method = state.metrics.method(request.uri().path());
        let quiet = request.uri().path().starts_with(HEALTH);
        let entry = if quiet {
            None
        } else {
            state
                .logging
                .begin(request, state.metrics.label(method), token)
        };
        Self {
            state: Arc::clone(state),
            method,
            entry,
            started,
            deadline,
            limited,
            ended: false,
        }
    }

    /// Records the end.
    pub(crate) fn end(mut self, code: Code) {
        self.record(code, Instant::now());
    }

    fn record(&mut self, code: Code, now: Instant) {
        self.ended = true;
        if self.limited {
            self.state.in_flight.fetch_sub(1, Ordering::Release);
        }
        let elapsed = now.saturating_duration_since(self.started);
        self.state.metrics.end(self.method, code, elapsed);
        if let Some(entry) = self.entry.take() {
            entry.end(code, elapsed);
        }
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if !self.ended {
            let now = Instant::now();
            self.record(self.deadline.code_of_drop(now), now);
        }
    }
}

/// The services behind the meter and the limit. Generated clients can call it without a network:
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

    /// Answers with the status, and counts it.
    fn refuse(
        &self,
        mut request: Request<Body>,
        token: Option<Arc<str>>,
        status: Status,
    ) -> ResponseFuture {
        let request_id = request_id(request.headers());
        RequestGuard::begin(&self.state, &mut request, false, token).end(status.code());
        ResponseFuture {
            answer: Answer::Refused(Some(status.into_http())),
            guard: None,
            until: None,
            request_id,
            clock: None,
        }
    }

    /// Takes a place under the limit, if there is one.
    fn admit(&self) -> bool {
        let state = &*self.state;
        if state.in_flight.fetch_add(1, Ordering::Acquire) < state.max_in_flight {
            return true;
        }
        state.in_flight.fetch_sub(1, Ordering::Release);
        false
    }

    /// Counts the request and hands it to its service, unless there are too many.
    pub(crate) fn begin(&self, mut request: Request<Body>) -> ResponseFuture {
        let path = request.uri().path();
        let health = path.starts_with(HEALTH);
        let reflection = path.starts_with(REFLECTION);
        let until = || Until::new(self.state.shutdown.clone());
        let admitted = match health {
            true => Ok(None),
            false => self.state.credentials.admit(request.headers()),
        };
        let token = match admitted {
            Ok(token) => token,
            Err(refusal) => {
                return self.refuse(request, None, Status::unauthenticated(refusal.message()));
            }
        };
        if !health && !self.admit() {
            let status = retry_status("too many requests in flight; try again", RETRY_AFTER);
            return self.refuse(request, token, status);
        }
        let guard = RequestGuard::begin(&self.state, &mut request, !health, token);
        let request_id = request_id(request.headers());
        let cut = (health || reflection).then(until);
        let request = if reflection {
            let until = until();
            request.map(|body| Body::new(ShutdownBody::new(body, until)))
        } else {
            request
        };
        ResponseFuture {
            answer: Answer::Served(self.routes.call(request)),
            guard: Some(guard),
            until: cut,
            request_id,
            clock: None,
        }
    }
}

impl Service<Request<Body>> for InstrumentedService {
    type Response = Response<InstrumentedBody>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        self.begin(request)
    }
}

enum Answer {
    Served(RouteFuture),
    Refused(Option<Response<Body>>),
}

/// The answer's headers.
pub struct ResponseFuture {
    answer: Answer,
    guard: Option<RequestGuard>,
    until: Option<Until>,
    request_id: Option<HeaderValue>,
    /// Made when the request must wait for the first time: most never do.
    clock: Option<Pin<Box<Sleep>>>,
}

impl ResponseFuture {
    /// Whether the client waits no longer; wakes when that is so.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let guard = self.guard.as_ref();
        let deadline = guard.and_then(|guard| guard.deadline.instant());
        deadline.is_some_and(|deadline| {
            let clock = self
                .clock
                .get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
            clock.as_mut().poll(cx).is_ready()
        })
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<InstrumentedBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut response = match &mut this.answer {
            Answer::Served(future) => match future.as_mut().poll(cx) {
                Poll::Ready(response) => response?,
                Poll::Pending if this.is_late(cx) => {
                    Status::deadline_exceeded("deadline exceeded").into_http()
                }
                Poll::Pending => return Poll::Pending,
            },
            Answer::Refused(response) => response.take().expect("polled once after it was ready"),
        };
        if let Some(id) = this.request_id.take() {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let Some(guard) = this.guard.take() else {
            return Poll::Ready(Ok(response.map(InstrumentedBody::ended)));
        };
        if let Some(code) = code_of(response.headers()) {
            if is_of_broken_connection(&response) {
                drop(guard);
            } else {
                guard.end(code);
            }
            return Poll::Ready(Ok(response.map(InstrumentedBody::ended)));
        }
        let without_status = code_of_http(response.status());
        if response.body().is_end_stream() {
            guard.end(without_status);
            return Poll::Ready(Ok(response.map(InstrumentedBody::ended)));
        }
        let until = this.until.take();
        Poll::Ready(Ok(response.map(|body| {
            InstrumentedBody::new(body, guard, without_status, until)
        })))
    }
}

/// The gRPC code of headers or trailers, if they carry one.
pub(crate) fn code_of(headers: &HeaderMap) -> Option<Code> {
    headers
        .get(GRPC_STATUS)
        .map(|value| Code::from_bytes(value.as_bytes()))
}

/// Whether it is made of the end of the connection within the request's body, to which tonic gives no code of its own. Nobody is
/// there to read the answer.
fn is_of_broken_connection(response: &Response<Body>) -> bool {
    let status = response.extensions().get::<Status>();
    let Some(status) = status.filter(|status| status.code() == Code::Unknown) else {
        return false;
    };
    std::iter::successors(status.source(), |&error| error.source())
        .any(|error| error.is::<hyper::Error>())
}

/// The code that clients make of an answer without `grpc-status`, as the gRPC specification maps it.
fn code_of_http(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests;
