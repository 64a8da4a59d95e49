//! The context of a request: when it started, its deadline, and fields for the access log. Computed
//! once, when the headers have arrived, and carried to the handler in the request's extensions.
//!
//! The deadline comes from the `grpc-timeout` header of the gRPC protocol
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>). Nothing else parses it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Extensions, HeaderMap, HeaderName, Request};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::access_log::AccessLogFields;
use super::audit::AuditFields;
use crate::connection::ConnectionContext;
use crate::credentials::Identity;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Difference between the clocks of a client and of this server.
///
/// A client times the request by itself and resets the stream when its time is up. The reset and
/// the server's own timer are then due at the same moment, so which comes first is chance: the two
/// frames that started the clocks differ in their delay, by milliseconds where machines are busy.
const CLIENT_CLOCK_TOLERANCE: Duration = Duration::from_millis(10);
/// Largest part of the tolerance that grows with the timeout; see [`tolerance`].
const MAX_ROUNDING: Duration = Duration::from_secs(1);

/// Context of a request, computed before its handler runs.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// When the headers arrived.
    pub started: Instant,
    /// When the client stops waiting for the response.
    pub deadline: Deadline,
    /// Fields that the handler may add to the request's line in the access log; `None` for a
    /// request that gets no line.
    pub log_fields: Option<AccessLogFields>,
    /// The client; `None` where clients need not prove who they are.
    pub client: Option<Identity>,
    /// Fields of the request's line in the audit log; `None` for a request that gets no line.
    pub(crate) audit_fields: Option<AuditFields>,
    /// The connection that it arrived on; `None` for a request of this process.
    pub(crate) connection: Option<Arc<ConnectionContext>>,
}

impl RequestContext {
    /// The context in the extensions of a request; of one that did not come through the server, one
    /// that starts now.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        let context = extensions.get().cloned();
        context.unwrap_or_else(|| Self::from(Deadline::default()))
    }

    /// The context of a request whose headers arrived at `started`.
    fn begin<B>(request: &Request<B>, started: Instant) -> Self {
        let deadline = Deadline::from_headers(request.headers(), started);
        Self::new(started, deadline)
    }

    /// The context in the extensions of a request. One that is not there, because the request did
    /// not arrive on a connection, begins now.
    pub(crate) fn begin_in<B>(request: &mut Request<B>) -> &mut Self {
        if request.extensions().get::<Self>().is_none() {
            Self::begin(request, Instant::now()).attach(request);
        }
        let context = request.extensions_mut().get_mut::<Self>();
        context.expect("it was inserted")
    }

    /// The context of a request that arrives on `connection` now.
    pub(crate) fn arriving<B>(request: &Request<B>, connection: &Arc<ConnectionContext>) -> Self {
        let now = Instant::now();
        connection.activity.request_arrived(now);
        Self {
            connection: Some(Arc::clone(connection)),
            ..Self::begin(request, now)
        }
    }

    /// Name of the client; empty where clients need not prove who they are.
    #[must_use]
    pub fn client_name(&self) -> &str {
        self.client.as_ref().map_or("", |client| &client.name)
    }

    /// Adds a field to the request's line in the audit log, if it gets one.
    pub fn audit(&self, field: &'static str, value: impl Into<String>) {
        if let Some(fields) = &self.audit_fields {
            fields.set(field, value);
        }
    }

    /// The token that is cancelled when a long stream of this request must end: at the maximum age
    /// of its connection, and at the shutdown of the server. `shutdown` is returned for a request
    /// of this process, which has no connection.
    #[must_use]
    pub fn end_of_streams(&self, shutdown: &CancellationToken) -> CancellationToken {
        let connection = self.connection.as_ref();
        connection.map_or(shutdown, |it| &it.retired).clone()
    }

    fn new(started: Instant, deadline: Deadline) -> Self {
        Self {
            started,
            deadline,
            log_fields: None,
            client: None,
            audit_fields: None,
            connection: None,
        }
    }

    /// Replaces the deadline by one that is `timeout` after the arrival of the request.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.deadline = Deadline::after(timeout, self.started).unwrap_or_default();
    }

    /// Tells the request's client from others that are connected.
    #[must_use]
    pub fn client_key(&self) -> ClientKey {
        let Some(connection) = &self.connection else {
            return ClientKey::default();
        };
        // What a client holds is shared by all of its connections.
        ClientKey(match &self.client {
            Some(client) => Arc::as_ptr(&connection.client_with(&client.name)).addr(),
            None => Arc::as_ptr(connection.account.client()).addr(),
        })
    }

    /// Puts the context into the request's extensions.
    pub(crate) fn attach<B>(self, request: &mut Request<B>) {
        request.extensions_mut().insert(self);
    }
}

/// Tells clients that are connected apart, by address and identity. Requests of this process have
/// the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientKey(usize);

/// Any number, for tests.
impl From<usize> for ClientKey {
    fn from(number: usize) -> Self {
        Self(number)
    }
}

/// The context of a request that starts now.
impl From<Deadline> for RequestContext {
    fn from(deadline: Deadline) -> Self {
        Self::new(Instant::now(), deadline)
    }
}

/// When the client of a request stops waiting for the response; never, without a `grpc-timeout`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline {
    at: Option<Instant>,
    /// The time between the arrival of the request and `at`.
    timeout: Duration,
}

/// A deadline that did not come with a request: its timeout begins now.
impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Self {
            at: Some(at),
            timeout: at.saturating_duration_since(Instant::now()),
        }
    }
}

impl Deadline {
    /// The deadline of a request whose headers arrived at `now`.
    pub(crate) fn from_headers(headers: &HeaderMap, now: Instant) -> Self {
        grpc_timeout(headers)
            .and_then(|timeout| Self::after(timeout, now))
            .unwrap_or_default()
    }

    /// The deadline of a request that arrived at `now`; none when it is too far away for the clock.
    fn after(timeout: Duration, now: Instant) -> Option<Self> {
        let at = Some(now.checked_add(timeout)?);
        Some(Self { at, timeout })
    }

    /// The instant, if there is a deadline.
    #[must_use]
    pub fn instant(self) -> Option<Instant> {
        self.at
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// Awaits `future` until the deadline.
    ///
    /// # Errors
    /// DEADLINE_EXCEEDED when the deadline passes first.
    pub async fn limit<F: Future>(self, future: F) -> Result<F::Output, Status> {
        let Some(at) = self.at else {
            return Ok(future.await);
        };
        let limited = tokio::time::timeout_at(at.into(), future).await;
        limited.map_err(|_| Status::deadline_exceeded("deadline exceeded"))
    }

    /// The code of a request that was dropped at `now`, before its response was complete: its
    /// client reset the stream, or the connection is gone. gRPC has no reset code of its own for
    /// a deadline, so the server's clock decides, with a [`tolerance`].
    pub(crate) fn code_of_drop(self, now: Instant) -> Code {
        match self.at {
            Some(at) if at.saturating_duration_since(now) <= tolerance(self.timeout) => {
                Code::DeadlineExceeded
            }
            _ => Code::Cancelled,
        }
    }
}

/// How long before the deadline a lost client still counts as one that reached its deadline.
///
/// Besides [`CLIENT_CLOCK_TOLERANCE`] this is a hundredth of the timeout, 1 s at most. Clients
/// built on gRPC's C core (C++, Python, Ruby) wait for the exact timeout but round it up to three
/// significant digits for the header: by less than 10 ms below 10 s, by less than 100 ms below 100
/// s and by less than 1 s below 1,000 s (`Timeout::FromMillis` in
/// <https://github.com/grpc/grpc/blob/v1.60.0/src/core/lib/transport/timeout_encoding.cc>). A
/// client with 15.04 s sends 15.1 s and resets the stream 60 ms before the deadline that the server
/// knows.
///
/// A request cancelled by hand within the tolerance is counted as late. The limit of 1 s keeps it
/// short beyond 1,000 s, although clients round by more there.
fn tolerance(timeout: Duration) -> Duration {
    CLIENT_CLOCK_TOLERANCE + MAX_ROUNDING.min(timeout / 100)
}

/// The timeout in a request's headers.
///
/// A value that cannot be parsed counts as none, as in tonic's own server: the specification says
/// that a request without a timeout waits forever, and does not mention a malformed one.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get(GRPC_TIMEOUT)
        .and_then(|value| parse(value.as_bytes()))
}

/// Parses at most 8 digits and a unit. Zero is accepted, although the specification asks for a
/// positive number: grpc-go sends `0n` for a deadline that has passed.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits
        .iter()
        .fold(0_u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(count * 3600)),
        b'M' => Some(Duration::from_secs(count * 60)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_parse_as_specified() {
        let cases = [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("4S", Some(Duration::from_secs(4))),
            ("250m", Some(Duration::from_millis(250))),
            ("0u", Some(Duration::ZERO)),
            ("7u", Some(Duration::from_micros(7))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("100000000n", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("5x", None),
            ("1é", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn the_clock_of_the_server_decides_the_code_of_a_dropped_request() {
        let started = Instant::now();
        let drop_at = |timeout: u64, elapsed: u64| {
            let deadline = Deadline::after(Duration::from_millis(timeout), started);
            let dropped = started + Duration::from_millis(elapsed);
            deadline.expect("it is near").code_of_drop(dropped)
        };
        for (timeout, elapsed, code) in [
            (100, 88, Code::Cancelled),
            (100, 89, Code::DeadlineExceeded),
            (1_000, 960, Code::Cancelled),
            (1_000, 979, Code::Cancelled),
            (1_000, 980, Code::DeadlineExceeded),
            (1_000, 1_000, Code::DeadlineExceeded),
            (1_000, 5_000, Code::DeadlineExceeded),
            // 9.991 s, which clients of the C core send as 10 s, and 15.04 s, sent as 15.1 s.
            (10_000, 9_991, Code::DeadlineExceeded),
            (15_100, 15_040, Code::DeadlineExceeded),
            (15_100, 14_000, Code::Cancelled),
            // 100.001 s, sent as 101 s.
            (101_000, 100_001, Code::DeadlineExceeded),
            (3_600_000, 3_598_980, Code::Cancelled),
            (3_600_000, 3_598_990, Code::DeadlineExceeded),
        ] {
            assert_eq!(drop_at(timeout, elapsed), code, "{elapsed} of {timeout} ms");
        }
        assert_eq!(Deadline::default().code_of_drop(started), Code::Cancelled);
    }

    #[tokio::test]
    async fn a_future_is_awaited_until_the_deadline() {
        let late = Deadline::from(Instant::now());
        assert!(late.is_over());
        let never = late.limit(std::future::pending::<()>()).await;
        assert_eq!(never.expect_err("late").code(), Code::DeadlineExceeded);
        let none = Deadline::default();
        assert!(!none.is_over());
        assert_eq!(none.limit(async { 7 }).await.expect("no deadline"), 7);
    }

    fn request(timeout: Option<&'static str>) -> Request<()> {
        let mut request = Request::new(());
        if let Some(timeout) = timeout {
            let value = http::HeaderValue::from_static(timeout);
            request.headers_mut().insert("grpc-timeout", value);
        }
        request
    }

    #[test]
    fn the_deadline_is_in_the_extensions_and_is_computed_once() {
        let mut timed = request(Some("2S"));
        let context = RequestContext::begin_in(&mut timed);
        let (started, deadline) = (context.started, context.deadline);
        assert_eq!(deadline.instant(), Some(started + Duration::from_secs(2)));
        assert_eq!(RequestContext::of(timed.extensions()).deadline, deadline);
        let again = RequestContext::begin_in(&mut timed);
        assert_eq!((again.started, again.deadline), (started, deadline));
    }

    #[test]
    fn a_request_without_a_valid_timeout_has_no_deadline() {
        for timeout in [None, Some("2"), Some("soon")] {
            let context = RequestContext::begin(&request(timeout), Instant::now());
            assert_eq!(context.deadline, Deadline::default(), "{timeout:?}");
        }
    }
}
