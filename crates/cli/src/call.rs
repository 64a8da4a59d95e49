//! Why a call to a service failed, in words: what the service answered, or what became of the connection.

use crate::{client::Endpoints, error::Service, secure};
use std::{error::Error as StdError, io, iter};
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt as _;

/// Whether the status was made on this side: the connection failed, and no service has answered.
#[must_use]
pub fn is_transport(status: &Status) -> bool {
    status.source().is_some()
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    iter::successors(status.source(), |&error| error.source())
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

/// Why a call failed, and what to do, a line each.
#[must_use]
pub fn report(service: Service, status: &Status, endpoints: &Endpoints) -> Vec<String> {
    let url = endpoints.url(service);
    let message = status.message();
    if let Some(lines) = secure::reason(status, url) {
        return lines.into();
    }
    if is_transport(status) {
        return match status.code() {
            _ if causes(status).any(|it| it.is::<TimeoutExpired>()) => vec![
                format!(
                    "the {service} at {url} did not answer within {:?}",
                    endpoints.timeout
                ),
                "give it longer with --timeout SECONDS".to_owned(),
            ],
            Code::Unavailable if !causes(status).any(is_break) => unreachable(service, url),
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
            iter::once(format!("the {service} is full: {message}"))
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
    let cause = causes(status).last();
    let cause = cause.map_or_else(|| status.message().to_owned(), ToString::to_string);
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
    iter::once(heading).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
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
