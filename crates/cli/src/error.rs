//! Errors of commands, and their exit codes.

use digits_checkpoint::StorageError;
use digits_dataset::pushed::PushedError;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tonic::Code;

/// Errors of a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to a service failed.
    #[error(transparent)]
    Client(#[from] digits_client::Error),
    /// Arguments that cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// An input is absent or not what it should be.
    #[error("{what}: {reason}")]
    Input {
        /// A path or the name of a data set.
        what: String,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// The storage cannot be reached, or refuses.
    #[error("the storage: {reason}; `digits doctor --storage URL` tries it")]
    Storage {
        /// The storage's error.
        reason: String,
    },
    /// The command worked, and its result is negative: a job failed, a check did not pass.
    #[error("{0}")]
    Negative(String),
    /// Some of several inputs failed; each was reported when it did.
    #[error("{failed} of {total} pictures were not classified")]
    Inputs {
        /// Inputs that failed.
        failed: usize,
        /// All inputs.
        total: usize,
        /// Exit code of the first failure.
        exit_code: u8,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Standard output is closed or full.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// No random numbers, of which a token is made.
    #[error("the operating system gives no random numbers")]
    Random,
    /// The user pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// The error of an input that cannot be used.
    pub fn input(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Input {
            what: what.into(),
            reason: reason.to_string(),
        }
    }

    /// The process's exit code: 1 negative result, 64 wrong usage, 66 unreadable input, 69 service
    /// or storage unreachable or not ready, 70 a bug in a service, 73 unwritable output file, 74
    /// standard output failed, 75 service full (try again), 77 a token is missing, not accepted or
    /// lacks the role,
    /// 130 Ctrl-C.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Client(error) => client_exit_code(error),
            Self::Storage { .. } => 69,
            Self::Usage(_) => 64,
            Self::Input { .. } => 66,
            Self::Negative(_) => 1,
            Self::Inputs { exit_code, .. } => *exit_code,
            Self::Write { .. } => 73,
            Self::Output(_) => 74,
            Self::Random => 70,
            Self::Interrupted => 130,
        }
    }
}

fn client_exit_code(error: &digits_client::Error) -> u8 {
    use digits_client::Error;
    match error {
        Error::Url { .. } | Error::Certificates(_) => 64,
        Error::Connection { .. } | Error::Timeout { .. } | Error::WatchLost { .. } => 69,
        Error::Answer { .. } => 70,
        Error::Status { status, .. } => match status.code() {
            Code::InvalidArgument | Code::OutOfRange => 64,
            Code::Unavailable => 69,
            Code::ResourceExhausted => 75,
            Code::Unauthenticated | Code::PermissionDenied => 77,
            Code::Internal | Code::Unknown | Code::DataLoss => 70,
            _ => 1,
        },
    }
}

impl From<PushedError> for Error {
    fn from(error: PushedError) -> Self {
        match error {
            PushedError::Storage(error) => error.into(),
            PushedError::Unknown { .. } => Self::Negative(error.to_string()),
            PushedError::Name { .. }
            | PushedError::Reserved { .. }
            | PushedError::Ambiguous { .. } => Self::Usage(error.to_string()),
            error => Self::input("data set", error),
        }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        let reason = error.to_string();
        match error {
            StorageError::Url { .. } | StorageError::Variable { .. } => Self::Usage(reason),
            _ => Self::Storage { reason },
        }
    }
}

/// Reads an input file.
///
/// # Errors
/// [`Error::Input`] with the path.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::input(path.display().to_string(), error))
}

/// Writes an output file.
///
/// # Errors
/// [`Error::Write`].
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}
