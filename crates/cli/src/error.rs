//! What can go wrong in the client, in words for people and as an exit code for scripts.

use crate::{client::Endpoints, secure};
use digits_checkpoint::StorageError;
use digits_dataset::pushed::PushedError;
use std::{error::Error as StdError, fmt, io, path::PathBuf};
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt as _;

/// The service that a call went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// `TrainingService` and `CheckpointService`.
    Trainer,
    /// `InferenceService`.
    Inference,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trainer => "trainer",
            Self::Inference => "inference service",
        })
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call was refused or did not arrive.
    #[error("{service}: {}", status.message())]
    Rpc {
        /// Which service.
        service: Service,
        /// What it answered.
        status: Box<Status>,
    },
    /// A watch could not be resumed in time.
    #[error("lost the trainer while watching job {job_id}: {reason}")]
    WatchLost {
        /// The job, which goes on without us.
        job_id: String,
        /// Sequence number of the last event that was seen.
        after_sequence: u64,
        /// The last failure.
        reason: String,
    },
    /// The address of a service is no URL.
    #[error("{url:?} is not the URL of a service: write it like {}", service.default_url())]
    Url {
        /// Which service.
        service: Service,
        /// What was given.
        url: String,
    },
    /// Arguments that cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// Something to read is not there or not what it should be.
    #[error("{what}: {reason}")]
    Input {
        /// A path or the name of a data set.
        what: String,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// The storage is not to be reached, or refuses.
    #[error("the storage: {reason}; `digits doctor --storage URL` tries it")]
    Storage {
        /// What it said.
        reason: String,
    },
    /// The command worked, and its answer is no: a job failed, a check did not pass.
    #[error("{0}")]
    Negative(String),
    /// A service's answer does not fit the request.
    #[error("{service}: unexpected answer: {reason}")]
    Answer {
        /// Which service.
        service: Service,
        /// What does not fit.
        reason: String,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard output is gone or full.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// The user pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl Service {
    /// Where it listens unless told otherwise.
    #[must_use]
    pub fn default_url(self) -> &'static str {
        match self {
            Self::Trainer => "http://127.0.0.1:50051",
            Self::Inference => "http://127.0.0.1:50052",
        }
    }

    fn binary(self) -> &'static str {
        match self {
            Self::Trainer => "digits-trainer",
            Self::Inference => "digits-inference",
        }
    }

    fn flag(self) -> (&'static str, &'static str) {
        match self {
            Self::Trainer => ("--trainer", "DIGITS_TRAINER"),
            Self::Inference => ("--inference", "DIGITS_INFERENCE"),
        }
    }
}

impl Error {
    /// An error of a call to the trainer.
    #[must_use]
    pub fn trainer(status: Status) -> Self {
        Self::Rpc {
            service: Service::Trainer,
            status: Box::new(status),
        }
    }

    /// An error of a call to the inference service.
    #[must_use]
    pub fn inference(status: Status) -> Self {
        Self::Rpc {
            service: Service::Inference,
            status: Box::new(status),
        }
    }

    /// The process's exit code: 1 the answer is no, 64 wrong usage, 66 unreadable input, 69 service or storage
    /// unreachable or not ready, 70 a bug in a service, 73 unwritable output file, 74 standard output failed, 75 service full
    /// (try again), 77 a token is missing or not accepted, 130 Ctrl-C.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Rpc { status, .. } => match status.code() {
                _ if is_transport(status) => 69,
                Code::InvalidArgument | Code::OutOfRange => 64,
                Code::Unavailable | Code::DeadlineExceeded => 69,
                Code::ResourceExhausted => 75,
                Code::Unauthenticated | Code::PermissionDenied => 77,
                Code::Internal | Code::Unknown | Code::DataLoss => 70,
                _ => 1,
            },
            Self::WatchLost { .. } | Self::Storage { .. } => 69,
            Self::Url { .. } | Self::Usage(_) => 64,
            Self::Input { .. } => 66,
            Self::Negative(_) => 1,
            Self::Answer { .. } => 70,
            Self::Write { .. } => 73,
            Self::Output(_) => 74,
            Self::Interrupted => 130,
        }
    }

    /// What went wrong, one line, and below it field violations and remedies, one line each.
    #[must_use]
    pub fn report(&self, endpoints: &Endpoints) -> Vec<String> {
        match self {
            Self::Rpc { service, status } => report_status(*service, status, endpoints),
            Self::WatchLost {
                job_id,
                after_sequence,
                ..
            } => vec![
                self.to_string(),
                format!(
                    "the job goes on; take up the watch with: digits watch {job_id} --after-sequence {after_sequence}"
                ),
            ],
            _ => vec![self.to_string()],
        }
    }
}

/// Whether the status was made on this side: the connection failed, and no service has answered.
#[must_use]
pub fn is_transport(status: &Status) -> bool {
    status.source().is_some()
}

impl From<PushedError> for Error {
    fn from(error: PushedError) -> Self {
        let input = |reason: String| Self::Input {
            what: "data set".to_owned(),
            reason,
        };
        match error {
            PushedError::Storage(StorageError::Url { .. }) => Self::Usage(error.to_string()),
            PushedError::Storage(error) => Self::Storage {
                reason: error.to_string(),
            },
            PushedError::Unknown { .. } => Self::Negative(error.to_string()),
            PushedError::Name { .. }
            | PushedError::Reserved { .. }
            | PushedError::Ambiguous { .. }
            | PushedError::Otherwise { .. } => Self::Usage(error.to_string()),
            error => input(error.to_string()),
        }
    }
}

fn has_cause(status: &Status, is: fn(&(dyn StdError + 'static)) -> bool) -> bool {
    let mut next = status.source();
    while let Some(error) = next {
        if is(error) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Whether a connection was there, and is no longer: by TLS it comes up for the client before the server has accepted it.
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

fn report_status(service: Service, status: &Status, endpoints: &Endpoints) -> Vec<String> {
    let url = endpoints.url(service);
    let message = status.message();
    if let Some(lines) = secure::reason(status, url) {
        return lines.into();
    }
    if is_transport(status) {
        return match status.code() {
            _ if has_cause(status, |it| it.is::<TimeoutExpired>()) => vec![
                format!(
                    "the {service} at {url} did not answer within {:?}",
                    endpoints.timeout
                ),
                "give it longer with --timeout SECONDS".to_owned(),
            ],
            Code::Unavailable if !has_cause(status, is_break) => unreachable(service, url),
            _ => broken(service, url, status),
        };
    }
    match status.code() {
        Code::Unauthenticated => vec![
            format!("{service}: {message}"),
            "the operators give out tokens; put yours into a file and name it with --token-file"
                .to_owned(),
        ],
        Code::Unimplemented => {
            vec![format!(
                "the {service} at {url} does not offer this yet: {message}"
            )]
        }
        Code::ResourceExhausted => {
            let wait = status
                .get_details_retry_info()
                .and_then(|info| info.retry_delay);
            let hint = wait.map(|wait| format!("try again in {:.1} s", wait.as_secs_f64()));
            std::iter::once(format!("the {service} is full: {message}"))
                .chain(hint)
                .collect()
        }
        Code::Internal | Code::Unknown | Code::DataLoss => {
            vec![format!(
                "the {service} failed: {message} (its log says more)"
            )]
        }
        _ => with_violations(service, status),
    }
}

fn unreachable(service: Service, url: &str) -> Vec<String> {
    let (flag, variable) = service.flag();
    vec![
        format!("the {service} does not answer at {url}"),
        format!(
            "start it with `{}`, or name another with {flag} URL or {variable}; `digits doctor` checks the rest",
            service.binary()
        ),
    ]
}

/// A connection that came up, and broke before there was an answer.
fn broken(service: Service, url: &str, status: &Status) -> Vec<String> {
    let mut cause = status.message().to_owned();
    let mut next = status.source();
    while let Some(error) = next {
        cause = error.to_string();
        next = error.source();
    }
    let remedy = if url.starts_with("https://") {
        "if it asks for a client certificate, give --tls-client-certificate-file and --tls-client-key-file"
    } else {
        "if it speaks TLS, write the URL with https://"
    };
    vec![
        format!("the connection to the {service} at {url} broke: {cause}"),
        remedy.to_owned(),
    ]
}

/// The message, and each violated field on a line of its own. The message of our services names the fields
/// as well; then only the fields are printed.
fn with_violations(service: Service, status: &Status) -> Vec<String> {
    let violations = status
        .get_details_bad_request()
        .map_or_else(Vec::new, |it| it.field_violations);
    if violations.is_empty() {
        return vec![format!("{service}: {}", status.message())];
    }
    let count = violations.len();
    let heading = match count {
        1 => format!("the {service} refused the request:"),
        _ => format!("the {service} refused the request for {count} reasons:"),
    };
    let lines = violations
        .into_iter()
        .map(|it| format!("  {}: {}", it.field, it.description));
    std::iter::once(heading).chain(lines).collect()
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Url { .. } => Self::Usage(error.to_string()),
            error => Self::Storage {
                reason: error.to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, time::Duration};
    use tonic_types::ErrorDetails;

    fn check(status: Status, code: u8, expected: &[&str]) {
        let error = Error::trainer(status);
        assert_eq!(error.report(&Endpoints::default()), expected);
        assert_eq!(error.exit_code(), code);
    }

    #[test]
    fn violations_stand_on_lines_of_their_own() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("spec.epochs", "must be 1 to 10,000, not 0");
        details.add_bad_request_violation("spec.sgd.learning_rate", "must be a number");
        check(
            Status::with_error_details(Code::InvalidArgument, "invalid spec", details),
            64,
            &[
                "the trainer refused the request for 2 reasons:",
                "  spec.epochs: must be 1 to 10,000, not 0",
                "  spec.sgd.learning_rate: must be a number",
            ],
        );
    }

    #[test]
    fn one_line_for_each_code() {
        check(Status::not_found("no job x"), 1, &["trainer: no job x"]);
        check(
            Status::unimplemented("Promote"),
            1,
            &["the trainer at http://127.0.0.1:50051 does not offer this yet: Promote"],
        );
        check(
            Status::unauthenticated("send a token"),
            77,
            &[
                "trainer: send a token",
                "the operators give out tokens; put yours into a file and name it with --token-file",
            ],
        );
        check(
            Status::internal("a bug"),
            70,
            &["the trainer failed: a bug (its log says more)"],
        );
        check(
            Status::with_error_details(
                Code::ResourceExhausted,
                "64 jobs wait",
                ErrorDetails::with_retry_info(Some(Duration::from_millis(2500))),
            ),
            75,
            &["the trainer is full: 64 jobs wait", "try again in 2.5 s"],
        );
    }

    #[test]
    fn a_connection_that_breaks_is_no_bug_of_the_service() {
        let cause = io::Error::other("connection reset");
        check(
            Status::from_error(Box::new(cause)),
            69,
            &[
                "the connection to the trainer at http://127.0.0.1:50051 broke: connection reset",
                "if it speaks TLS, write the URL with https://",
            ],
        );
    }

    /// A connection that ended before the request was on its way is `CANCELLED` to tonic, as is a time that ran out.
    #[test]
    fn a_broken_connection_is_told_from_a_time_that_ran_out() {
        let timed_out = Status::from_error(Box::new(TimeoutExpired(())));
        assert_eq!(timed_out.code(), Code::Cancelled);
        check(
            timed_out,
            69,
            &[
                "the trainer at http://127.0.0.1:50051 did not answer within 30s",
                "give it longer with --timeout SECONDS",
            ],
        );
        let mut cancelled = Status::cancelled("operation was canceled");
        cancelled.set_source(Arc::new(io::Error::other("connection closed")));
        check(
            cancelled,
            69,
            &[
                "the connection to the trainer at http://127.0.0.1:50051 broke: connection closed",
                "if it speaks TLS, write the URL with https://",
            ],
        );
        let mut reset = Status::unavailable("transport error");
        reset.set_source(Arc::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        check(
            reset,
            69,
            &[
                "the connection to the trainer at http://127.0.0.1:50051 broke: connection reset",
                "if it speaks TLS, write the URL with https://",
            ],
        );
    }

    #[test]
    fn an_answer_of_unavailable_is_no_lost_connection() {
        let error = Error::inference(Status::unavailable("no checkpoint yet"));
        assert_eq!(
            error.report(&Endpoints::default()),
            ["inference service: no checkpoint yet"]
        );
        assert_eq!(error.exit_code(), 69);
    }
}
