//! Errors of a job: the cause for the log, and the message for the client.

use super::{kubernetes::ClusterError, outage::WriteError};
use crate::{
    attempt::UnreadableDraft,
    datasets::{self, UnusableDataset},
    job::JobId,
    spec::SpecError,
    store::StoreError,
    train::TrainError,
    wire::WireError,
};
use digits_checkpoint::{LoadError, StorageError, id::CheckpointId};
use digits_dataset::pushed::PushedError;
use digits_proto::json::NoJsonForm;
use digits_telemetry::panic_text;
use prost::DecodeError;
use std::io;
use tokio::task::JoinError;

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error("the stored spec cannot be decoded: {0}")]
    StoredSpec(#[from] DecodeError),
    #[error("the spec is refused by this version or machine: {0}")]
    Spec(#[from] SpecError),
    #[error("the spec cannot be recorded in manifests: {0}")]
    Lineage(#[from] NoJsonForm),
    #[error("the data set {name} cannot be loaded: {source}")]
    Dataset {
        name: String,
        source: Box<PushedError>,
    },
    #[error("the checkpoint {id} to start from cannot be loaded: {source}")]
    Parent {
        id: CheckpointId,
        source: Box<LoadError>,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error("the checkpoint of epoch {epoch} was not published: {source}")]
    Publish { epoch: u32, source: PublishError },
    #[error("the output of the attempt was not written: {0}")]
    Report(PublishError),
    #[error("the resume bundle cannot be read: {0}")]
    ResumeBundle(PublishError),
    #[error("the worker cannot be started: {0}")]
    Launch(#[from] LaunchError),
    #[error("the worker ended with exit code {code} before it began: {reason}")]
    NotBegun { code: u8, reason: String },
    #[error("a report of the job's worker cannot be read: {0}")]
    UnknownReport(WireError),
    #[error("panic: {0}")]
    Panic(String),
}

impl From<PublishError> for JobError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Store(error) => Self::Store(error),
            error => Self::Report(error),
        }
    }
}

/// Why a worker was not started.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    #[error(transparent)]
    Process(#[from] io::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl WriteError for LaunchError {
    /// Such as for want of processes, or while the program is replaced.
    fn may_pass(&self) -> bool {
        true
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Process(_) => "its worker process cannot be started",
            Self::Cluster(error) => error.reason(),
        }
    }

    /// The job is not to blame for its cluster.
    fn waits_for(&self) -> Option<String> {
        match self {
            Self::Process(_) => None,
            Self::Cluster(error) => error.waits_for(),
        }
    }
}

/// Why a resume bundle was not written; the previous one stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum BundleError {
    #[error(transparent)]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("it cannot be reported: {0}")]
    Report(PublishError),
    #[error("panic: {0}")]
    Panic(String),
}

impl BundleError {
    pub(super) fn panicked(error: JoinError) -> Self {
        let panic = error.try_into_panic().ok();
        let text = panic.as_deref().map_or("it was cancelled", panic_text);
        Self::Panic(text.to_owned())
    }
}

/// Why a checkpoint was not published.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Draft(#[from] UnreadableDraft),
    #[error("the job was stopped while its report card was measured")]
    Stopped,
    #[error("the job was stopped while the storage did not answer")]
    Interrupted,
}

impl WriteError for PublishError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.may_pass(),
            Self::Storage(error) => !is_permanent(error),
            Self::Draft(_) | Self::Stopped | Self::Interrupted => false,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Storage(error) if error.is_final() => "the storage refuses it",
            Self::Storage(error) => storage_reason(error.io_kind()),
            Self::Store(error) => error.client_reason(),
            Self::Draft(_) => "its worker has another version than the trainer",
            Self::Stopped | Self::Interrupted => "the job was stopped",
        }
    }
}

impl JobError {
    /// The sentence that the client reads: no paths and no causes.
    pub(super) fn client_message(&self) -> String {
        match self {
            Self::UnknownReport(_) => {
                "a report of its worker cannot be read by this version; see the trainer's log"
                    .to_owned()
            }
            Self::StoredSpec(_) => "its spec cannot be read by this version".to_owned(),
            Self::Spec(error) => error.to_string(),
            Self::Lineage(error) => format!(
                "its spec cannot be recorded with its checkpoints: {}; correct it and submit it again",
                error.reason
            ),
            Self::Dataset { name, source } => match datasets::client_message(source) {
                UnusableDataset::Refused(reason) => format!("the data set {name} {reason}"),
                UnusableDataset::Unavailable => {
                    format!("the data set {name} cannot be loaded; see the trainer's log")
                }
            },
            Self::Parent { id, source } => parent_message(*id, source),
            Self::Store(error) => error.client_message(),
            Self::Publish { epoch, source } => publish_message(*epoch, source),
            Self::Report(error) => format!(
                "the output of the job could not be written: {}; see the trainer's log",
                error.reason()
            ),
            Self::ResumeBundle(error) => format!(
                "the resume bundle of the job could not be read: {}; see the trainer's log",
                error.reason()
            ),
            Self::Launch(error) => format!("{}; see the trainer's log", error.reason()),
            Self::NotBegun { code, .. } => format!(
                "its worker process ended with exit code {code} before it began; see the trainer's log"
            ),
            Self::Panic(_) | Self::Train(TrainError::Panic(_)) => {
                "an internal error; see the trainer's log".to_owned()
            }
            Self::Train(error) => error.to_string(),
        }
    }

    /// Logs the cause, where the client's sentence does not hold it.
    pub(super) fn log(&self, job: JobId) {
        match self {
            Self::Spec(_) => {}
            Self::Train(_) | Self::Parent { .. } => {
                tracing::warn!(%job, error = %self, "job failed");
            }
            Self::Publish {
                source: PublishError::Stopped,
                ..
            } => tracing::info!(%job, error = %self, "job failed"),
            _ => tracing::error!(%job, error = %self, "job failed"),
        }
    }

    /// Logs why output of a job was not written, where that is not the job's outcome.
    pub(super) fn log_lost_output(&self, job: JobId) {
        match self {
            Self::Publish {
                source: PublishError::Stopped,
                ..
            } => tracing::info!(%job, error = %self, "output of a job was not written"),
            _ => tracing::error!(%job, error = %self, "output of a job was not written"),
        }
    }
}

fn parent_message(id: CheckpointId, error: &LoadError) -> String {
    match error {
        LoadError::Refused(refusal) => {
            format!("init_from: the checkpoint {id} is damaged: {refusal}")
        }
        LoadError::Unavailable(StorageError::Missing { .. }) => {
            format!("init_from: the checkpoint {id} is no longer there")
        }
        LoadError::Unavailable(_) => {
            format!("init_from: the checkpoint {id} cannot be read; see the trainer's log")
        }
    }
}

fn publish_message(epoch: u32, error: &PublishError) -> String {
    if let PublishError::Stopped = error {
        return "the job was stopped while its report card was measured: there is no checkpoint of the last epoch"
            .to_owned();
    }
    format!(
        "the checkpoint of epoch {epoch} could not be published: {}; see the trainer's log",
        error.reason()
    )
}

/// Whether a retry cannot help: the storage works and refuses. What an operator grants or mends
/// without a restart of the storage, such as a permission, is better reported than waited for.
pub(crate) fn is_permanent(error: &StorageError) -> bool {
    error.is_final()
        || error.is_unreadable()
        || matches!(
            error.io_kind(),
            // The limit on the size of a file is the process's or the file system's own.
            Some(io::ErrorKind::PermissionDenied | io::ErrorKind::FileTooLarge)
        )
        || matches!(
            error,
            StorageError::Denied { .. } | StorageError::NoBucket { .. } | StorageError::Task(_)
        )
}

/// The failure of the storage, in words that an operator can act on.
fn storage_reason(kind: Option<io::ErrorKind>) -> &'static str {
    match kind {
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => "the storage is full",
        Some(io::ErrorKind::FileTooLarge) => "the storage takes no file of that size",
        Some(io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {
            "the storage cannot be written"
        }
        _ => "the storage fails",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_a_storage_may_pass_and_refusals_may_not() {
        let of_folder = |source: io::Error| StorageError::Folder {
            path: "/storage".into(),
            source,
        };
        for (code, passes) in [
            // ESTALE, EIO, EMFILE, ENOSPC, EROFS, ENOTDIR
            (116, true),
            (5, true),
            (24, true),
            (28, true),
            (30, true),
            (20, true),
            // EACCES, EPERM, EFBIG
            (13, false),
            (1, false),
            (27, false),
        ] {
            let error = PublishError::Storage(of_folder(io::Error::from_raw_os_error(code)));
            assert_eq!(error.may_pass(), passes, "{error}");
        }
        let key = "checkpoints".to_owned();
        for (error, passes) in [
            (StorageError::Missing { key: key.clone() }, true),
            (StorageError::Conflict { key: key.clone() }, false),
            (
                StorageError::Unreadable {
                    key,
                    reason: String::new(),
                },
                false,
            ),
        ] {
            let error = PublishError::Storage(error);
            assert_eq!(error.may_pass(), passes, "{error}");
        }
    }
}
