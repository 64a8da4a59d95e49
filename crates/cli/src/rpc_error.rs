//! What the user reads of a call to a service that failed, in terms of flags and commands.

pub(crate) mod words;

use crate::{endpoints::Endpoints, tls_error, wrong_server};
use digits_client::{ConnectionFailure, Error, Service};
use std::iter;
use tonic::{Code, Status};
use tonic_types::{FieldViolation, StatusExt as _};

/// What failed, and what to do, a line each.
pub fn lines(error: &Error, endpoints: &Endpoints) -> Vec<String> {
    match error {
        Error::Url { .. } | Error::Answer { .. } => vec![error.to_string()],
        Error::Certificates(cause) => vec![format!(
            "--tls-ca-file, --tls-client-certificate-file and --tls-client-key-file cannot be used together: {}",
            innermost(cause)
        )],
        Error::Connection { service, failure } => connection(*service, failure, endpoints),
        Error::Timeout { service, timeout } => vec![
            format!(
                "the {service} at {} did not answer within {timeout:?}",
                endpoints.url(*service)
            ),
            "give it longer with --timeout SECONDS".to_owned(),
        ],
        Error::Status { service, status } => wrong_server::lines(*service, status, endpoints)
            .unwrap_or_else(|| answer(*service, status, endpoints.url(*service))),
        Error::WatchLost {
            job_id,
            after_sequence,
            ..
        } => vec![
            error.to_string(),
            format!(
                "the job continues; resume the watch with: digits watch {job_id} --after-sequence {after_sequence}"
            ),
        ],
    }
}

/// The text of the error that caused all others.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn connection(service: Service, failure: &ConnectionFailure, endpoints: &Endpoints) -> Vec<String> {
    let url = endpoints.url(service);
    match failure {
        ConnectionFailure::Tls(error) => tls_error::lines(error, url).into(),
        ConnectionFailure::Unreachable => {
            let (binary, flag, variable) = match service {
                Service::Trainer => ("digits-trainer", "--trainer", "DIGITS_TRAINER"),
                Service::Inference => ("digits-inference", "--inference", "DIGITS_INFERENCE"),
            };
            vec![
                format!("the {service} does not answer at {url}"),
                format!(
                    "start it with `{binary}`, or name another with {flag} URL or {variable}; `digits doctor` checks both services"
                ),
            ]
        }
        ConnectionFailure::Broken(cause) => {
            let remedy = if url.starts_with("https://") {
                "if the service requires a client certificate, give --tls-client-certificate-file and --tls-client-key-file"
            } else {
                "if the service speaks TLS, write its URL with https://"
            };
            vec![
                format!("the connection to the {service} at {url} broke: {cause}"),
                remedy.to_owned(),
            ]
        }
    }
}

/// An error that the service responded with.
fn answer(service: Service, status: &Status, url: &str) -> Vec<String> {
    let message = words::message(status.message());
    match status.code() {
        Code::Unauthenticated => vec![
            format!("{service}: {message}"),
            "put the token that the operators gave you into a file, and name it with --token-file"
                .to_owned(),
        ],
        Code::Unimplemented => vec![format!(
            "the {service} at {url} is of an older version, which does not offer this command"
        )],
        Code::ResourceExhausted => {
            let wait = status
                .get_details_retry_info()
                .and_then(|info| info.retry_delay);
            match wait {
                Some(wait) => vec![
                    format!("the {service} is full: {message}"),
                    format!("try again in {:.1} s", wait.as_secs_f64()),
                ],
                // Such as a quota, which no time alone lifts.
                None => vec![format!("{service}: {message}")],
            }
        }
        Code::Internal | Code::Unknown | Code::DataLoss => vec![format!(
            "the {service} failed: {message} (its log has the cause)"
        )],
        _ => refusal(service, status),
    }
}

/// The message, or one line for each field that the service refused: its message names the fields
/// too.
fn refusal(service: Service, status: &Status) -> Vec<String> {
    let violations = violations(status);
    if violations.is_empty() {
        return vec![format!("{service}: {}", words::message(status.message()))];
    }
    let heading = match violations.len() {
        1 => format!("the {service} refused the request:"),
        count => format!("the {service} refused the request for {count} reasons:"),
    };
    let lines = violations.into_iter().map(|it| {
        let description = words::text(&it.description);
        format!("  {}: {description}", words::field(&it.field))
    });
    iter::once(heading).chain(lines).collect()
}

fn violations(status: &Status) -> Vec<FieldViolation> {
    status
        .get_details_bad_request()
        .map_or_else(Vec::new, |it| it.field_violations)
}

/// Why the service refused the picture of a request; `None` for any other error.
pub fn picture_refusal(error: &Error) -> Option<String> {
    let Error::Status { status, .. } = error else {
        return None;
    };
    match status.code() {
        Code::InvalidArgument => {}
        // The message is longer than the service accepts.
        Code::OutOfRange => return Some(words::message(status.message())),
        _ => return None,
    }
    let violations = violations(status);
    let of_picture = |it: &FieldViolation| words::is_picture(&it.field);
    if violations.is_empty() || !violations.iter().all(of_picture) {
        return None;
    }
    let reasons: Vec<String> = violations
        .iter()
        .map(|it| words::text(&it.description))
        .collect();
    Some(reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tonic_types::ErrorDetails;

    fn check(error: Error, code: u8, expected: &[&str]) {
        assert_eq!(lines(&error, &Endpoints::default()), expected);
        assert_eq!(crate::Error::from(error).exit_code(), code);
    }

    fn status(status: Status) -> Error {
        Error::Status {
            service: Service::Trainer,
            status: Box::new(status),
        }
    }

    #[test]
    fn each_refused_field_is_named_by_its_flag() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("spec.epochs", "must be 1 to 10,000, not 0");
        details.add_bad_request_violation("spec.sgd.learning_rate", "must be a number");
        details.add_bad_request_violation("spec.data.split_seed", "must be 32 bits");
        check(
            status(Status::with_error_details(
                Code::InvalidArgument,
                "invalid spec",
                details,
            )),
            64,
            &[
                "the trainer refused the request for 3 reasons:",
                "  --epochs: must be 1 to 10,000, not 0",
                "  --learning-rate: must be a number",
                "  seed of the split: must be 32 bits",
            ],
        );
    }

    #[test]
    fn each_code_has_its_line() {
        check(
            status(Status::not_found("no job x")),
            1,
            &["trainer: no job x"],
        );
        check(
            status(Status::unimplemented("Promote")),
            1,
            &[
                "the trainer at http://127.0.0.1:50051 is of an older version, which does not offer this command",
            ],
        );
        check(
            status(Status::unauthenticated("send a token")),
            77,
            &[
                "trainer: send a token",
                "put the token that the operators gave you into a file, and name it with --token-file",
            ],
        );
        check(
            status(Status::internal("a bug")),
            70,
            &["the trainer failed: a bug (its log has the cause)"],
        );
        check(
            status(Status::with_error_details(
                Code::ResourceExhausted,
                "64 jobs wait",
                ErrorDetails::with_retry_info(Some(Duration::from_millis(2500))),
            )),
            75,
            &["the trainer is full: 64 jobs wait", "try again in 2.5 s"],
        );
        check(
            status(Status::resource_exhausted("5 jobs, which is its quota")),
            75,
            &["trainer: 5 jobs, which is its quota"],
        );
        check(
            status(Status::unavailable("no checkpoint yet")),
            69,
            &["trainer: no checkpoint yet"],
        );
    }

    #[test]
    fn a_failed_connection_is_no_bug_of_the_service() {
        let broken = ConnectionFailure::Broken("connection reset".to_owned());
        check(
            Error::Connection {
                service: Service::Trainer,
                failure: broken,
            },
            69,
            &[
                "the connection to the trainer at http://127.0.0.1:50051 broke: connection reset",
                "if the service speaks TLS, write its URL with https://",
            ],
        );
        check(
            Error::Timeout {
                service: Service::Trainer,
                timeout: Duration::from_secs(30),
            },
            69,
            &[
                "the trainer at http://127.0.0.1:50051 did not answer within 30s",
                "give it longer with --timeout SECONDS",
            ],
        );
    }

    #[test]
    fn a_lost_watch_can_be_resumed() {
        let lost = Error::WatchLost {
            job_id: "j".to_owned(),
            after_sequence: 5,
            reason: "gone".to_owned(),
        };
        check(
            lost,
            69,
            &[
                "lost the trainer while watching job j: gone",
                "the job continues; resume the watch with: digits watch j --after-sequence 5",
            ],
        );
    }
}
