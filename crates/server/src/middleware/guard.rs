//! Accounts for one request, from its headers to the end of its response: in-flight gauge,
//! duration, count by code, access log and span.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::access_log::{REQUEST_ID, RequestLog, RequestLogging};
use super::audit::{AuditEntry, AuditFields, AuditLog};
use super::context::{Deadline, RequestContext};
use super::metrics::{Method, RequestMetrics};
use super::place::{Origin, Place, Purpose};
use crate::connection::OpenRequest;
use crate::credentials::Identity;
use crate::limits::SharedLimits;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// Faults of a request message: tonic's code, how its text starts, and the code that clients get.
///
/// To clients, alerts and the error budget, RESOURCE_EXHAUSTED is a server that is full, and
/// INTERNAL a fault of the server.
const MESSAGE_FAULTS: [(Code, &[u8], Code); 10] = {
    use Code::{Aborted, Internal, InvalidArgument, OutOfRange, ResourceExhausted};
    [
        (
            ResourceExhausted,
            b"Error%20decompressing:%20size%20limit",
            OutOfRange,
        ),
        (Internal, b"Error%20decompressing:", InvalidArgument),
        (
            Internal,
            b"failed%20to%20decode%20Protobuf%20message",
            InvalidArgument,
        ),
        (
            Internal,
            b"protocol%20error:%20received%20message%20with%20compressed-flag",
            InvalidArgument,
        ),
        (
            Internal,
            b"protocol%20error:%20received%20message%20with%20invalid%20compression%20flag",
            InvalidArgument,
        ),
        (Internal, b"Missing%20request%20message.", InvalidArgument),
        (
            Internal,
            b"Unexpected%20EOF%20decoding%20stream.",
            InvalidArgument,
        ),
        // A body of gRPC-Web that fails: by a limit of its own, or because it is no base64.
        (
            Internal,
            b"tonic-web:%20code:%20'Some%20resource%20has%20been%20exhausted'",
            ResourceExhausted,
        ),
        (
            Internal,
            b"tonic-web:%20code:%20'The%20operation%20was%20aborted'",
            Aborted,
        ),
        (Internal, b"tonic-web:", InvalidArgument),
    ]
};

/// Largest first part of a response that does not count as bytes in flight.
const UNCOUNTED_BYTES: usize = 512;

/// Kind of service that a request is for, where its handling depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceKind {
    /// Probes: answered without a token and under any load, because an orchestrator kills a server
    /// that does not answer. They are not logged.
    Health,
    /// Streams of the health, otherwise like probes.
    HealthWatch,
    /// Streams that clients hold open for good.
    Reflection,
    /// Everything else.
    Application,
}

impl ServiceKind {
    fn of(path: &str) -> Self {
        if path == "/grpc.health.v1.Health/Watch" {
            Self::HealthWatch
        } else if path.starts_with("/grpc.health.v1.Health/") {
            Self::Health
        } else if path.starts_with("/grpc.reflection.") {
            Self::Reflection
        } else {
            Self::Application
        }
    }

    pub(super) fn is_health(self) -> bool {
        matches!(self, Self::Health | Self::HealthWatch)
    }

    /// What its requests need a place for.
    fn purpose(self) -> Purpose {
        match self {
            Self::Health => Purpose::Probe,
            Self::HealthWatch => Purpose::Watch,
            Self::Reflection | Self::Application => Purpose::Work,
        }
    }
}

/// A request that is being answered. It ends by [`Self::finish`], or with the response that
/// [`Self::follow`] is given.
pub(crate) struct RequestGuard {
    metrics: RequestMetrics,
    kind: ServiceKind,
    method: Method,
    started: Instant,
    deadline: Deadline,
    log: Option<Box<RequestLog>>,
    audit: Option<Box<AuditEntry>>,
    /// The request on its connection, until `place` has it.
    open: Option<OpenRequest>,
    /// Its place among the requests in flight.
    place: Option<Arc<Place>>,
    finished: bool,
}

impl RequestGuard {
    /// Begins to account for a request, and puts its [`RequestContext`] into its extensions.
    pub(crate) fn begin<B>(
        metrics: &RequestMetrics,
        logging: &RequestLogging,
        request: &mut Request<B>,
    ) -> Self {
        let kind = ServiceKind::of(request.uri().path());
        let method = metrics.method(request.uri().path());
        let mut log = match kind {
            kind if kind.is_health() => None,
            _ => logging.begin(request.headers_mut(), metrics.label(method)),
        };
        let context = RequestContext::begin_in(request);
        context.log_fields = log.as_ref().and_then(|log| log.fields());
        let (started, deadline) = (context.started, context.deadline);
        let open = context.connection.as_ref().map(OpenRequest::begin);
        if let (Some(log), Some(open)) = (&mut log, &open) {
            log.set_peer(open.peer);
        }
        metrics.begin();
        Self {
            metrics: metrics.clone(),
            kind,
            method,
            started,
            deadline,
            log,
            audit: None,
            open,
            place: None,
            finished: false,
        }
    }

    pub(crate) fn kind(&self) -> ServiceKind {
        self.kind
    }

    /// Whether the metrics have a label for the method.
    pub(crate) fn is_declared(&self) -> bool {
        self.metrics.is_declared(self.method)
    }

    /// The request on its connection; `None` for one of this process.
    fn connection(&self) -> Option<&OpenRequest> {
        let place = self.place.as_ref();
        self.open.as_ref().or_else(|| place?.connection())
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Notes the name of the request's client for the access log.
    pub(crate) fn set_client_name(&mut self, name: Option<Arc<str>>) {
        if let Some(log) = &mut self.log {
            log.set_client_name(name);
        }
    }

    /// Gives the request a line in `log`. Returns the fields for the handler to set.
    pub(crate) fn audit(
        &mut self,
        log: AuditLog,
        client: Option<Identity>,
        headers: &HeaderMap,
    ) -> AuditFields {
        let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let fields = AuditFields::default();
        self.audit = Some(Box::new(AuditEntry {
            log,
            method: self.metrics.label(self.method),
            client,
            peer: self.connection().map(|connection| connection.peer),
            request_id: request_id.map(str::to_owned),
            fields: fields.clone(),
        }));
        fields
    }

    /// A place for the request, which it returns when it ends. `limits` are those of the port, and
    /// `name` is that of the client, where it is known.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when there is no memory for a further request.
    pub(super) fn hold_place(
        &mut self,
        limits: &Arc<SharedLimits>,
        name: Option<&Arc<str>>,
    ) -> Result<Arc<Place>, Status> {
        if self.open.as_ref().is_some_and(|open| !open.has_memory()) {
            return Err(limits.no_memory());
        }
        let origin = match self.open.take() {
            Some(open) => Origin::Connection(open),
            None => Origin::Process(Arc::clone(limits)),
        };
        let place = Arc::new(Place::new(origin, self.kind.purpose(), name));
        self.place = Some(Arc::clone(&place));
        Ok(place)
    }

    /// Ends the request with `code`.
    pub(crate) fn finish(mut self, code: Code) {
        self.record(code, Instant::now());
        // Not health: it is answered without a token, and so would pay for an attack.
        if code == Code::Ok
            && !self.kind.is_health()
            && let Some(connection) = self.connection()
        {
            connection.request_answered();
        }
    }

    /// Ends the request with its response: at once if its headers hold the status, otherwise at the
    /// end of its body.
    pub(crate) fn follow(self, mut response: Response<Body>) -> Response<Body> {
        let without_status = code_of_http(response.status());
        let code = code_of(response.headers_mut());
        if is_of_lost_client(&response) {
            // Dropping `self` counts the request as one whose client is gone.
            return response;
        }
        let ended = response.body().is_end_stream();
        if let Some(code) = code.or(ended.then_some(without_status)) {
            self.finish(code);
            return response;
        }
        if let Some(place) = &self.place {
            place.answered();
        }
        response.map(|inner| {
            Body::new(InstrumentedBody {
                inner,
                guard: Some(self),
                without_status,
                has_begun: false,
            })
        })
    }

    fn record(&mut self, code: Code, now: Instant) {
        self.finished = true;
        // First, so that the client's next request is admitted.
        if let Some(place) = &self.place {
            place.end();
        }
        let elapsed = now.saturating_duration_since(self.started);
        self.metrics.end(self.method, code, elapsed);
        if let Some(log) = self.log.take() {
            log.finish(code, elapsed);
        }
        if let Some(audit) = self.audit.take() {
            audit.write(code);
        }
    }
}

/// hyper drops the future or the body of a request whose client reset the stream or whose
/// connection is gone. The drop is the only notice of such an end, so it must record it.
impl Drop for RequestGuard {
    fn drop(&mut self) {
        if !self.finished {
            let now = Instant::now();
            self.record(self.deadline.code_of_drop(now), now);
            if let Some(connection) = self.connection() {
                connection.request_cancelled(now);
            }
        }
    }
}

impl InstrumentedBody {
    /// Accounts for the bytes of a response until they are sent, but for the first ones if they are
    /// few: the limit on a connection's streams bounds those. Without memory for the others the
    /// response ends.
    fn account_for(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let Some(place) = self.guard.as_ref().and_then(|it| it.place.as_ref()) else {
            return frame;
        };
        let bytes = match frame.into_data() {
            Ok(bytes) => bytes,
            Err(frame) => return frame,
        };
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if is_first && bytes.len() <= UNCOUNTED_BYTES {
            return Frame::data(bytes);
        }
        let status = match place.respond(bytes) {
            Ok(bytes) => return Frame::data(bytes),
            Err(status) => status,
        };
        let code = status.code();
        let mut trailers = HeaderMap::new();
        if status.add_header(&mut trailers).is_err() {
            trailers.insert(GRPC_STATUS, HeaderValue::from(code as i32));
        }
        if let Some(guard) = self.guard.take() {
            guard.finish(code);
        }
        Frame::trailers(trailers)
    }
}

/// The body of a response, which ends its request with the `grpc-status` of its trailers.
struct InstrumentedBody {
    inner: Body,
    /// Taken when the request ends.
    guard: Option<RequestGuard>,
    /// The code of a body that ends without `grpc-status`.
    without_status: Code,
    /// Whether bytes of it have passed.
    has_begun: bool,
}

impl HttpBody for InstrumentedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let code = match &mut frame {
            Some(Ok(frame)) => frame
                .trailers_mut()
                .map(|trailers| code_of(trailers).unwrap_or(self.without_status)),
            Some(Err(status)) => Some(status.code()),
            None => Some(self.without_status),
        };
        if let Some(code) = code {
            if let Some(guard) = self.guard.take() {
                guard.finish(code);
            }
            return Poll::Ready(frame);
        }
        Poll::Ready(frame.map(|frame| frame.map(|frame| self.account_for(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The gRPC code of headers or trailers, if they carry one; that of [`MESSAGE_FAULTS`] is put in the
/// place of tonic's.
fn code_of(headers: &mut HeaderMap) -> Option<Code> {
    let code = Code::from_bytes(headers.get(GRPC_STATUS)?.as_bytes());
    if !matches!(code, Code::Internal | Code::ResourceExhausted) {
        return Some(code);
    }
    let text = headers
        .get(GRPC_MESSAGE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let fault = |&&(from, start, _): &&(Code, &[u8], Code)| from == code && text.starts_with(start);
    let Some(&(.., code)) = MESSAGE_FAULTS.iter().find(fault) else {
        return Some(code);
    };
    headers.insert(GRPC_STATUS, HeaderValue::from(code as i32));
    Some(code)
}

/// Whether the response was made because the connection or the stream ended within the request's
/// body. tonic gives that no code of its own.
fn is_of_lost_client(response: &Response<Body>) -> bool {
    let Some(status) = response.extensions().get::<Status>() else {
        return false;
    };
    match status.code() {
        Code::Unknown => std::iter::successors(status.source(), |&error| error.source())
            .any(|error| error.is::<hyper::Error>()),
        // A stream that is reset before its message looks to tonic like one without a message.
        Code::Internal => status.message() == "Missing request message.",
        _ => false,
    }
}

/// The code that clients derive from a response without `grpc-status`
/// (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>).
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
