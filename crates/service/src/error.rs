//! Errors of starting and running a service, and their exit codes.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::{io, iter};

use digits_server::{CredentialsError, ServerError};
use digits_telemetry::listen::BindError;
use digits_telemetry::logs::LogsError;
use digits_telemetry::metrics::InstallError;
use digits_telemetry::traces::TracesError;

use crate::exit;

/// The error of a dependency, whatever its type.
type BoxError = Box<dyn StdError + Send + Sync>;

/// Errors of starting or running a service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag, an environment variable or a configuration file must be corrected; one line.
    #[error("{0}")]
    Config(String),
    /// A resource of the service is unavailable.
    #[error("{what}")]
    Unavailable {
        /// What is unavailable, and the flag that names it.
        what: &'static str,
        /// The cause.
        source: BoxError,
    },
    /// Logs could not be set up.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// The metrics recorder could not be installed.
    #[error(transparent)]
    Metrics(#[from] InstallError),
    /// A certificate, key or token file cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Traces cannot be exported as the flags ask for.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The gRPC server could not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The admin port could not be opened.
    #[error(transparent)]
    Admin(#[from] BindError),
    /// The operating system gives no further thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// A task of the start-up panicked or was cancelled.
    #[error("a start-up task did not finish")]
    StartUp(#[from] tokio::task::JoinError),
    /// The file with the addresses could not be written.
    #[error("cannot write --ready-file {}", path.display())]
    ReadyFile {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The gRPC server ended although nothing had stopped it.
    #[error("the gRPC server ended unexpectedly")]
    ServerEnded,
    /// The health check could not reach the admin port.
    #[error("cannot reach the admin port at {address}")]
    Unreachable {
        /// The address that was tried.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The health check reached a service that is not ready; the response of `/readyz`.
    #[error("{0}")]
    NotReady(String),
}

/// A value that a flag does not accept; clap names the flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// The form of a duration.
    #[error("must be a number with ms, s, m, h or d, such as 250ms")]
    Duration,
    /// The largest duration.
    #[error("must be at most {0}")]
    DurationLimit(&'static str),
    /// The range of a share.
    #[error("must be a number from 0 to 1")]
    Share,
    /// The range of a whole number.
    #[error("must be a whole number {}", range(*from, *to))]
    Whole {
        /// Least number.
        from: u64,
        /// Largest number.
        to: u64,
    },
}

fn range(from: u64, to: u64) -> String {
    match to {
        u64::MAX => format!("from {from} on"),
        to => format!("from {from} to {to}"),
    }
}

impl Error {
    /// A configuration error from `error` and its causes.
    pub fn config(error: impl Into<BoxError>) -> Self {
        Self::Config(chain(&*error.into()))
    }

    /// Wraps the error of a resource, for `map_err`.
    pub fn unavailable<E: Into<BoxError>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Unavailable {
            what,
            source: source.into(),
        }
    }

    /// The error and its causes in one line.
    #[must_use]
    pub fn line(&self) -> String {
        chain(self)
    }

    /// The exit code of a process that ends with this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Logs(_) | Self::Credentials(_) | Self::Traces(_) => exit::USAGE,
            Self::Metrics(_) => exit::SOFTWARE,
            Self::Unavailable { .. }
            | Self::Server(_)
            | Self::Admin(_)
            | Self::Thread(_)
            | Self::StartUp(_)
            | Self::ReadyFile { .. }
            | Self::ServerEnded => exit::UNAVAILABLE,
            Self::Unreachable { .. } | Self::NotReady(_) => exit::FAILED,
        }
    }
}

/// `error: cause: cause`, without causes that the text before them has already.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = iter::successors(error.source(), |&cause| cause.source());
    let mut line = error.to_string();
    for cause in causes.map(ToString::to_string) {
        if !line.contains(&cause) {
            line += ": ";
            line += &cause;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_error_and_its_causes() {
        let cause = io::Error::other("disk is gone");
        let error = Error::unavailable("--state cannot be used")(cause);
        assert_eq!(error.line(), "--state cannot be used: disk is gone");
        assert_eq!(error.exit_code(), exit::UNAVAILABLE);
        let error = Error::config(error);
        assert_eq!(error.line(), "--state cannot be used: disk is gone");
        assert_eq!(error.exit_code(), exit::USAGE);
    }

    #[test]
    fn a_line_has_a_cause_that_an_error_shows_itself_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("a key cannot be read: {0}")]
        struct Read(#[source] io::Error);

        let cause = Read(io::Error::other("disk is gone"));
        let error = Error::unavailable("--storage cannot be used")(cause);
        assert_eq!(
            error.line(),
            "--storage cannot be used: a key cannot be read: disk is gone"
        );
    }
}
