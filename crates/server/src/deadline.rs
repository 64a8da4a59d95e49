//! The deadline of a request, from the `grpc-timeout` header of the gRPC protocol
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
//!
//! It is computed once, when the request's headers have arrived, and travels in the request's
//! extensions. Nothing else parses the header.

use std::time::{Duration, Instant};

use http::{Extensions, HeaderMap, HeaderName, Request};
use tonic::{Code, Status};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How long before the deadline a lost client still counts as one that reached its deadline.
///
/// A client times the request by itself and resets the stream when its time is up. The reset and
/// the server's own timer are then due at the same moment, so which comes first is chance: the two
/// frames that started the clocks differ in their delay, by milliseconds where machines are busy.
/// Besides, clients built on gRPC's C core (C++, Python, Ruby) round the timeout in the header up
/// to three digits, by less than 10 ms below 10 s. The value is absolute, since neither cause grows
/// with the timeout; what is cancelled by hand in these last 10 ms is counted as late.
const CLIENT_CLOCK_TOLERANCE: Duration = Duration::from_millis(10);

/// When the client of a request stops waiting for the response; never, without a `grpc-timeout`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Self(Some(at))
    }
}

impl Deadline {
    /// The deadline that the server put into the extensions of a request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }

    /// Computes the deadline of a request whose headers arrived at `now`, and puts it into the
    /// request's extensions. A deadline that is there already stays.
    ///
    /// Requests without a deadline get no extension: extensions allocate.
    pub(crate) fn attach<B>(request: &mut Request<B>, now: Instant) -> Self {
        if let Some(&known) = request.extensions().get() {
            return known;
        }
        let timeout = grpc_timeout(request.headers());
        let deadline = Self(timeout.and_then(|timeout| now.checked_add(timeout)));
        if deadline.0.is_some() {
            request.extensions_mut().insert(deadline);
        }
        deadline
    }

    /// The instant, if there is a deadline.
    #[must_use]
    pub fn instant(self) -> Option<Instant> {
        self.0
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }

    /// # Errors
    /// DEADLINE_EXCEEDED when the deadline has passed.
    pub fn check(self) -> Result<(), Status> {
        if self.is_over() {
            return Err(Status::deadline_exceeded(
                "deadline exceeded before the request was processed",
            ));
        }
        Ok(())
    }

    /// Awaits `future` until the deadline.
    ///
    /// # Errors
    /// DEADLINE_EXCEEDED when the deadline passes first.
    pub async fn limit<F: Future>(self, future: F) -> Result<F::Output, Status> {
        let Some(at) = self.0 else {
            return Ok(future.await);
        };
        let limited = tokio::time::timeout_at(at.into(), future).await;
        limited.map_err(|_| Status::deadline_exceeded("deadline exceeded"))
    }

    /// The code of a request that was dropped at `now`, before its response was complete: its
    /// client reset the stream, or the connection is gone. gRPC has no reset code of its own for
    /// a deadline, so the server's clock decides, with [`CLIENT_CLOCK_TOLERANCE`].
    pub(crate) fn code_of_drop(self, now: Instant) -> Code {
        match self.0 {
            Some(at) if at.saturating_duration_since(now) <= CLIENT_CLOCK_TOLERANCE => {
                Code::DeadlineExceeded
            }
            _ => Code::Cancelled,
        }
    }
}

/// The timeout in a request's headers.
///
/// A value that cannot be parsed counts as none, as in tonic's own server: the specification says
/// that a request without a timeout waits for ever, and nothing of a malformed one.
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
    fn timeouts_parse_as_specified() {
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

    fn request(timeout: Option<&'static str>) -> Request<()> {
        let mut request = Request::new(());
        if let Some(timeout) = timeout {
            let value = http::HeaderValue::from_static(timeout);
            request.headers_mut().insert(GRPC_TIMEOUT, value);
        }
        request
    }

    #[test]
    fn the_deadline_is_in_the_extensions_and_is_computed_once() {
        let now = Instant::now();
        let mut timed = request(Some("2S"));
        let deadline = Deadline::attach(&mut timed, now);
        assert_eq!(deadline.instant(), Some(now + Duration::from_secs(2)));
        assert_eq!(Deadline::of(timed.extensions()), deadline);
        let later = now + Duration::from_secs(1);
        assert_eq!(Deadline::attach(&mut timed, later), deadline);
    }

    #[test]
    fn a_request_without_a_timeout_gets_no_extension() {
        for timeout in [None, Some("2"), Some("soon")] {
            let mut request = request(timeout);
            let deadline = Deadline::attach(&mut request, Instant::now());
            assert_eq!(deadline, Deadline::default(), "{timeout:?}");
            assert!(request.extensions().is_empty(), "{timeout:?}");
        }
    }

    #[test]
    fn the_servers_clock_decides_what_a_dropped_request_counts_as() {
        let started = Instant::now();
        let drop_at = |timeout: u64, elapsed: u64| {
            let deadline = Deadline::from(started + Duration::from_millis(timeout));
            deadline.code_of_drop(started + Duration::from_millis(elapsed))
        };
        for (timeout, elapsed, code) in [
            (1_000, 960, Code::Cancelled),
            (1_000, 989, Code::Cancelled),
            (1_000, 990, Code::DeadlineExceeded),
            (1_000, 1_000, Code::DeadlineExceeded),
            (1_000, 5_000, Code::DeadlineExceeded),
            (3_600_000, 3_590_000, Code::Cancelled),
        ] {
            assert_eq!(drop_at(timeout, elapsed), code, "{elapsed} of {timeout} ms");
        }
        assert_eq!(Deadline::default().code_of_drop(started), Code::Cancelled);
    }

    #[tokio::test]
    async fn a_future_is_awaited_until_the_deadline_at_most() {
        let late = Deadline::from(Instant::now());
        assert!(late.is_over());
        let refused = late.check().expect_err("late");
        assert_eq!(refused.code(), Code::DeadlineExceeded);
        let never = late.limit(std::future::pending::<()>()).await;
        assert_eq!(never.expect_err("late").code(), Code::DeadlineExceeded);
        let none = Deadline::default();
        assert!(none.check().is_ok());
        assert_eq!(none.limit(async { 7 }).await.expect("no deadline"), 7);
    }
}
