//! Errors of calls.

use crate::service::Service;
use rustls::{AlertDescription, Error as TlsError};
use std::{error::Error as StdError, io, iter, time::Duration};
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt as _;

/// Errors of a call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL of a service is none.
    #[error("{url:?} is not the URL of a service: write it like {}", service.default_url())]
    Url {
        /// The called service.
        service: Service,
        /// The URL.
        url: String,
    },
    /// Authorities, certificate and key cannot be used together.
    #[error("the certificates cannot be used: {0}")]
    Certificates(#[source] tonic::transport::Error),
    /// No connection came up, or it broke before the response.
    #[error("no connection to the {service}: {failure}")]
    Connection {
        /// The called service.
        service: Service,
        /// Failure of the connection.
        failure: ConnectionFailure,
    },
    /// The deadline passed before the response.
    #[error("the {service} did not answer within {timeout:?}")]
    Timeout {
        /// The called service.
        service: Service,
        /// The time from the call to its deadline.
        timeout: Duration,
    },
    /// The service responded with an error.
    #[error("{service}: {}", status.message())]
    Status {
        /// The called service.
        service: Service,
        /// Its response.
        status: Box<Status>,
    },
    /// A response that does not fit its request.
    #[error("{service}: unexpected answer: {reason}")]
    Answer {
        /// The called service.
        service: Service,
        /// Reason why the answer is unexpected.
        reason: String,
    },
    /// A watch could not be resumed in time.
    #[error("lost the trainer while watching job {job_id}: {reason}")]
    WatchLost {
        /// The job, which continues.
        job_id: String,
        /// Sequence number of the last event that was received.
        after_sequence: u64,
        /// The last failure.
        reason: String,
    },
}

/// Failure of a connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionFailure {
    /// Nothing accepts connections at the address.
    #[error("nothing accepts connections there")]
    Unreachable,
    /// The connection came up and broke before the response.
    #[error("it broke: {0}")]
    Broken(String),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(TlsError),
}

impl Error {
    /// Converts a status, which the client or the service has created.
    pub(crate) fn of_status(service: Service, status: Status, timeout: Duration) -> Self {
        let timed_out = causes(&status).any(|it| it.is::<TimeoutExpired>());
        if timed_out || status.code() == Code::DeadlineExceeded {
            return Self::Timeout { service, timeout };
        }
        if status.source().is_none() {
            let status = Box::new(status);
            return Self::Status { service, status };
        }
        let failure = match tls_error(&status) {
            Some(error) => ConnectionFailure::Tls(error),
            None if status.code() == Code::Unavailable && !causes(&status).any(is_break) => {
                ConnectionFailure::Unreachable
            }
            None => ConnectionFailure::Broken(last_cause(&status)),
        };
        Self::Connection { service, failure }
    }

    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            // A certificate does not become valid by waiting.
            Self::Connection { failure, .. } => !matches!(failure, ConnectionFailure::Tls(_)),
            Self::Status { status, .. } => {
                status.code() == Code::Unavailable || self.retry_delay().is_some()
            }
            _ => false,
        }
    }

    /// Retry delay that an overloaded service requests.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        match self {
            Self::Status { status, .. } if status.code() == Code::ResourceExhausted => {
                status.get_details_retry_info()?.retry_delay
            }
            _ => None,
        }
    }
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    iter::successors(status.source(), |&error| error.source())
}

fn last_cause(status: &Status) -> String {
    let cause = causes(status).last();
    cause.map_or_else(|| status.message().to_owned(), ToString::to_string)
}

/// Whether a connection had come up: with TLS it does for the client before the server has accepted
/// it.
fn is_break(error: &(dyn StdError + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(
        kind,
        Some(
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
        )
    )
}

/// The TLS error among the causes. An `io::Error` hides what it wraps from `source`, and HTTP/2
/// keeps only its text.
fn tls_error(status: &Status) -> Option<TlsError> {
    causes(status).find_map(|error| {
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<TlsError>());
        let found = error.downcast_ref::<TlsError>().or(wrapped).cloned();
        found.or_else(|| alert_in(&error.to_string()))
    })
}

/// The alerts that arrive after the handshake, which for the client ends before the server has
/// checked its certificate.
fn alert_in(text: &str) -> Option<TlsError> {
    let known = [
        AlertDescription::CertificateRequired,
        AlertDescription::UnknownCA,
        AlertDescription::BadCertificate,
        AlertDescription::CertificateExpired,
        AlertDescription::DecryptError,
    ];
    let mut errors = known.into_iter().map(TlsError::AlertReceived);
    errors.find(|error| text.contains(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError;
    use std::sync::Arc;
    use tonic_types::ErrorDetails;

    fn error(status: Status) -> Error {
        Error::of_status(Service::Trainer, status, Duration::from_secs(30))
    }

    fn failure(status: Status) -> ConnectionFailure {
        match error(status) {
            Error::Connection { failure, .. } => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_tls_error_is_found_among_the_causes() {
        let certificate = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let required = TlsError::AlertReceived(AlertDescription::CertificateRequired);
        for (cause, expected) in [
            (
                io::Error::new(io::ErrorKind::InvalidData, certificate.clone()),
                Some(certificate),
            ),
            (io::Error::other(required.to_string()), Some(required)),
            (
                io::Error::other("received fatal alert: the peer sent CertificateRequired"),
                None,
            ),
            (io::Error::other("connection refused"), None),
        ] {
            let found = match failure(Status::from_error(Box::new(cause))) {
                ConnectionFailure::Tls(error) => Some(error),
                _ => None,
            };
            assert_eq!(found, expected);
        }
    }

    /// A connection that ended before the request was sent is `CANCELLED` to tonic, as is a time
    /// that ran out.
    #[test]
    fn a_broken_connection_differs_from_a_timeout() {
        let timed_out = Status::from_error(Box::new(TimeoutExpired(())));
        assert_eq!(timed_out.code(), Code::Cancelled);
        for status in [timed_out, Status::deadline_exceeded("too late")] {
            assert!(matches!(error(status), Error::Timeout { .. }));
        }
        let mut cancelled = Status::cancelled("operation was canceled");
        cancelled.set_source(Arc::new(io::Error::other("connection closed")));
        let mut reset = Status::unavailable("transport error");
        reset.set_source(Arc::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        for (status, cause) in [
            (cancelled, "connection closed"),
            (reset, "connection reset"),
        ] {
            match failure(status) {
                ConnectionFailure::Broken(reason) => assert_eq!(reason, cause),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn unavailable_as_a_response_is_no_lost_connection() {
        let answer = error(Status::unavailable("no checkpoint yet"));
        assert!(matches!(answer, Error::Status { .. }) && answer.is_transient());
        assert_eq!(answer.to_string(), "trainer: no checkpoint yet");
    }

    #[test]
    fn only_what_passes_by_itself_is_transient() {
        let full = Status::with_error_details(
            Code::ResourceExhausted,
            "64 jobs wait",
            ErrorDetails::with_retry_info(Some(Duration::from_millis(2500))),
        );
        let full = error(full);
        assert!(full.is_transient());
        assert_eq!(full.retry_delay(), Some(Duration::from_millis(2500)));
        let expired = TlsError::InvalidCertificate(CertificateError::Expired);
        let tls = io::Error::new(io::ErrorKind::InvalidData, expired);
        for status in [
            Status::resource_exhausted("too many labels"),
            Status::invalid_argument("no"),
            Status::from_error(Box::new(tls)),
        ] {
            assert!(!error(status).is_transient());
        }
    }
}
