//! The access-log line and the trace span of a request.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use digits_telemetry::traces::{ActiveSpan, KeyValue, Traces, trace_id};
use http::{HeaderMap, HeaderName};
use tonic::Code;

use super::metrics::code_name;

/// Lets a caller find its request in the logs of all services that it passed through.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Selects the requests that are logged and traced.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestLogging {
    /// Share of the requests that get a line in the access log, from 0 to 1.
    pub(crate) access_log: f64,
    /// Exporter of the spans.
    pub(crate) traces: Option<Traces>,
}

/// Model, serving record and role that answered a request, for the access log.
#[derive(Clone, Debug)]
pub struct AnsweredBy {
    /// Name of the model.
    pub model: String,
    /// Its sequence in the storage.
    pub sequence: u64,
    /// Its role, such as `primary`.
    pub role: &'static str,
}

/// Fields of an access-log line that only the handler knows. Clones share them. Requests without a
/// line have none, so that nothing is spent on them.
#[derive(Clone, Debug, Default)]
pub struct AccessLogFields(Arc<OnceLock<AnsweredBy>>);

impl AccessLogFields {
    /// Sets what answers. Of a stream the first call counts, which is for its first message.
    pub fn set_answered_by(&self, by: impl FnOnce() -> AnsweredBy) {
        self.0.get_or_init(by);
    }
}

/// A request that is logged or traced when it ends.
pub(crate) struct RequestLog {
    line: Option<Line>,
    span: Option<ActiveSpan>,
}

struct Line {
    method: &'static str,
    /// The name of the token, never the token itself.
    token_name: Option<Arc<str>>,
    request_id: Option<String>,
    trace_id: Option<String>,
    /// Address of the client.
    peer: Option<IpAddr>,
    fields: AccessLogFields,
}

impl RequestLogging {
    /// Begins the line and the span of a request, if it gets one of them. Replaces the trace
    /// context in its headers by that of the new span. `method` is one of a bounded set of names.
    pub(crate) fn begin(
        &self,
        headers: &mut HeaderMap,
        method: &'static str,
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
            traces.begin(headers, method.to_owned(), attributes)
        });
        let request_id = || headers.get(REQUEST_ID)?.to_str().ok().map(str::to_owned);
        let line = logged.then(|| Line {
            method,
            token_name: None,
            request_id: request_id(),
            trace_id: trace_id(headers),
            peer: None,
            fields: AccessLogFields::default(),
        });
        Some(Box::new(RequestLog { line, span }))
    }
}

impl RequestLog {
    /// Fields for the handler to set, if the request gets a line.
    pub(crate) fn fields(&self) -> Option<AccessLogFields> {
        self.line.as_ref().map(|line| line.fields.clone())
    }

    pub(crate) fn set_peer(&mut self, peer: IpAddr) {
        if let Some(line) = &mut self.line {
            line.peer = Some(peer);
        }
    }

    pub(crate) fn set_client_name(&mut self, name: Option<Arc<str>>) {
        if let Some(line) = &mut self.line {
            line.token_name = name;
        }
    }

    /// Writes the line and ends the span.
    pub(crate) fn finish(self, code: Code, elapsed: Duration) {
        if let Some(line) = self.line {
            let by = line.fields.0.get();
            tracing::info!(
                target: "digits_access",
                method = line.method,
                code = code_name(code),
                seconds = elapsed.as_secs_f64(),
                token_name = line.token_name.as_deref(),
                peer = line.peer.map(tracing::field::display),
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
            span.end(vec![status], is_server_error(code));
        }
    }
}

/// Whether a code is an error of the server, by OpenTelemetry's conventions for gRPC servers
/// (<https://opentelemetry.io/docs/specs/semconv/rpc/grpc/>).
fn is_server_error(code: Code) -> bool {
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
