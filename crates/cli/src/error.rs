//! What can go wrong in the client, in words for people and as an exit code for scripts.

use crate::{
    call::{self, is_transport},
    client::Endpoints,
};
use digits_checkpoint::StorageError;
use digits_dataset::pushed::PushedError;
use std::{fmt, io, path::PathBuf};
use tonic::{Code, Status};

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

    pub(crate) fn binary(self) -> &'static str {
        match self {
            Self::Trainer => "digits-trainer",
            Self::Inference => "digits-inference",
        }
    }

    pub(crate) fn flag(self) -> (&'static str, &'static str) {
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
            Self::Rpc { service, status } => call::report(*service, status, endpoints),
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
