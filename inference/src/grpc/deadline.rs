//! Until when the client wants its answer: the `grpc-timeout` of the gRPC protocol.

use std::time::{Duration, Instant};
use tonic::{Status, metadata::MetadataMap};

/// The client's deadline, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// Reads it from a request's metadata; one that cannot be read is none.
    pub(super) fn of(metadata: &MetadataMap) -> Self {
        let timeout = metadata
            .get("grpc-timeout")
            .and_then(|value| value.to_str().ok())
            .and_then(parse);
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// When it is, if there is one.
    pub(super) fn at(self) -> Option<Instant> {
        self.0
    }

    /// Whether nobody waits any more.
    pub(super) fn is_over(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }

    /// Waits for `future` no longer than the client waits.
    ///
    /// # Errors
    ///
    /// DEADLINE_EXCEEDED when it was over first.
    pub(super) async fn limit<F: Future>(self, future: F) -> Result<F::Output, Status> {
        let Some(at) = self.0 else {
            return Ok(future.await);
        };
        let limited = tokio::time::timeout_at(at.into(), future).await;
        limited.map_err(|_| Status::deadline_exceeded("the deadline of the stream is over"))
    }

    /// # Errors
    ///
    /// DEADLINE_EXCEEDED when it is over.
    pub(super) fn check(self) -> Result<(), Status> {
        if self.is_over() {
            return Err(Status::deadline_exceeded(
                "the deadline was over before the work began",
            ));
        }
        Ok(())
    }
}

/// At most eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_as_the_protocol_writes_them() {
        let cases = [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("4S", Some(Duration::from_secs(4))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("0u", Some(Duration::ZERO)),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("999999999S", None),
            ("5x", None),
            ("-1S", None),
            ("1é", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
