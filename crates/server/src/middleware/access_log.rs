//! What is told of a single request: a line of the access log and a span. Neither is made unless it is asked for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use digits_telemetry::traces::{ActiveSpan, KeyValue, Traces, trace_id};
use http::{Extensions, Request};
use tonic::Code;

use crate::middleware::metrics::code_name;
use crate::middleware::service::{MAX_REQUEST_ID, REQUEST_ID};

/// Which requests are told of.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestLogging {
    /// Share of the requests that get a line.
    pub(crate) access_log: f64,
    /// Where spans go.
    pub(crate) traces: Option<Traces>,
}

/// What a service may tell of its answer, for the line of the request.
#[derive(Clone, Debug)]
pub struct AnsweredBy {
    /// The model that answered.
    pub model: String,
    /// Its version.
    pub sequence: u64,
    /// Its part.
    pub role: &'static str,
}

/// Where a service writes who answers. The requests that get a line bring one in their extensions, and no others do: what
/// nobody reads costs nothing.
#[derive(Clone, Debug, Default)]
pub struct AccessLogFields(Arc<OnceLock<AnsweredBy>>);

impl AccessLogFields {
    /// Gives a request one.
    fn attach(extensions: &mut Extensions) -> Self {
        let note = Self::default();
        extensions.insert(note.clone());
        note
    }

    /// The note of a request, if it has one.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Self>().cloned()
    }

    /// Writes who answers; of a stream, who answers its first message.
    pub fn write(&self, by: impl FnOnce() -> AnsweredBy) {
        self.0.get_or_init(by);
    }
}

/// A request that is told of when it ends.
pub(crate) struct RequestLog {
    line: Option<Line>,
    span: Option<ActiveSpan>,
}

struct Line {
    method: &'static str,
    /// The name of the token that came with the request, never the token.
    token: Option<Arc<str>>,
    request_id: Option<String>,
    trace_id: Option<String>,
    answer: AccessLogFields,
}

impl RequestLogging {
    /// Begins to tell of a request, if it is one of those; `method` is its bounded name. The request carries the new span on.
    pub(crate) fn begin<B>(
        &self,
        request: &mut Request<B>,
        method: &'static str,
        token: Option<Arc<str>>,
    ) -> Option<Box<RequestLog>> {
        let logged = self.access_log > 0.0 && fastrand::f64() < self.access_log;
        if !logged && self.traces.is_none() {
            return None;
        }
        let span = self.traces.as_ref().map(|traces| {
            let attributes = vec![
                KeyValue::new("rpc.system", "grpc"),
                KeyValue::new("rpc.method", method),
            ];
            traces.begin(request.headers_mut(), method.to_owned(), attributes)
        });
        let line = logged.then(|| Line {
            answer: AccessLogFields::attach(request.extensions_mut()),
            method,
            token,
            request_id: request
                .headers()
                .get(REQUEST_ID)
                .and_then(|id| id.to_str().ok())
                .filter(|id| id.len() <= MAX_REQUEST_ID)
                .map(str::to_owned),
            trace_id: trace_id(request.headers()),
        });
        Some(Box::new(RequestLog { line, span }))
    }
}

impl RequestLog {
    /// Tells of it.
    pub(crate) fn end(self, code: Code, elapsed: Duration) {
        if let Some(line) = self.line {
            let by = line.answer.0.get();
            tracing::info!(
                target: "digits_access",
                method = line.method,
                code = code_name(code),
                seconds = elapsed.as_secs_f64(),
                token_name = line.token.as_deref(),
                request_id = line.request_id,
                trace_id = line.trace_id,
                model = by.map(|by| &*by.model),
                sequence = by.map(|by| by.sequence),
                role = by.map(|by| by.role),
                "request"
            );
        }
        if let Some(span) = self.span {
            let status = KeyValue::new("rpc.grpc.status_code", i64::from(code as i32));
            span.end(vec![status], is_servers_fault(code));
        }
    }
}

/// As OpenTelemetry's conventions for gRPC servers have it: what the client did wrong is no error of the server.
fn is_servers_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
