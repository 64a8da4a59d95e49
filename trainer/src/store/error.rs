//! Errors of the job database.

use super::files::Loss;
use crate::quotas::QuotaExceeded;
use rusqlite::ErrorCode;
use std::sync::Arc;

/// Errors of the job database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("the job database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder cannot be used.
    #[error("the state folder {path}: {reason}")]
    Folder {
        /// Which.
        path: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The file of the database cannot be what was there before.
    #[error(
        "the job database {path} {reason}; it was left as it is. Restore the whole state folder from a backup, or move \
         it away to start with an empty one: checkpoints and what is served are on the storage and stay, but the jobs, \
         curves and queue of the folder are lost"
    )]
    Unusable {
        /// Which.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Stored data cannot be decoded: a bug, or a file changed by another program.
    #[error("the job database holds data that this program did not write: {0}")]
    Corrupt(String),
    /// The queue has no room.
    #[error("the queue is full: {waiting} jobs are waiting")]
    QueueFull {
        /// Jobs that wait.
        waiting: u64,
    },
    /// A quota of the client is used up.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// The request id was used for another spec.
    #[error("the request id was used with another spec")]
    RequestIdTaken,
    /// A report is not the next one of the job's open attempt.
    #[error("report {report} of attempt {attempt} is not the next one of the job")]
    NotFollowed {
        /// Number of the attempt.
        attempt: u32,
        /// Number of the report.
        report: u64,
    },
    /// No such job.
    #[error("there is no such job")]
    NoSuchJob,
    /// No such sweep.
    #[error("there is no such sweep")]
    NoSuchSweep,
    /// As many sweeps run as may run at a time.
    #[error("{running} sweeps are running")]
    TooManySweeps {
        /// Sweeps that run.
        running: u64,
    },
    /// SQLite could not commit a transaction: nothing of it is stored.
    #[error("the job database does not commit: {0}")]
    NotCommitted(Arc<rusqlite::Error>),
    /// Another program holds the write lock of the database: nothing of it is stored.
    #[error("another program has locked the job database")]
    Locked,
    /// The files of the open database are gone: what is written now would vanish with the process.
    #[error("{}", lost(*.0))]
    Lost(Loss),
    /// The journal on the storage does not take the changes: nothing of it is stored, unless the
    /// storage has it all the same.
    #[error("the journal of the job database cannot be written: {0}")]
    NotJournaled(Arc<str>),
    /// Another process has taken this trainer's place.
    #[error("another process has taken the place of this trainer")]
    Replaced,
    /// The thread that owns the database has ended.
    #[error("the job database is closed")]
    Closed,
}

impl StoreError {
    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Sqlite(error) => is_full(error),
            Self::NotCommitted(error) => is_full(error),
            _ => false,
        }
    }

    /// Whether the same write may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        let passing = |error: &rusqlite::Error| {
            let code = error.sqlite_error_code();
            matches!(
                code,
                Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen)
            )
        };
        match self {
            Self::Locked | Self::Lost(_) | Self::NotJournaled(_) | Self::Replaced => true,
            Self::Sqlite(error) => passing(error),
            Self::NotCommitted(error) => passing(error),
            _ => false,
        }
    }

    /// The sentence that a client reads: no paths and no causes.
    #[must_use]
    pub fn client_message(&self) -> String {
        let sentence = match self {
            Self::Locked => {
                "the trainer's job database is locked by another program: submit the job again once it is released"
            }
            Self::Lost(loss) => lost(*loss),
            Self::NotJournaled(_) => {
                "the trainer's storage cannot be written: repeat the same request once it can"
            }
            Self::Replaced => {
                "another process has taken the place of this trainer: connect to that one"
            }
            error if error.is_full() => {
                "the disk with the trainer's job database is full: make room there and submit the job again"
            }
            _ => "the trainer's job database failed; see the trainer's log",
        };
        sentence.to_owned()
    }

    /// What failed, in words without a remedy: no paths and no causes.
    #[must_use]
    pub fn client_reason(&self) -> &'static str {
        match self {
            Self::Locked => "the trainer's job database is locked by another program",
            Self::NotJournaled(_) => "the trainer's storage cannot be written",
            Self::Replaced => "another process has taken the place of this trainer",
            Self::Lost(_) => "the file of the trainer's job database was removed or replaced",
            error if error.is_full() => "the disk with the trainer's job database is full",
            _ => "the trainer's job database failed",
        }
    }
}

/// What happened to the files of the database, and what to do.
fn lost(loss: Loss) -> &'static str {
    match loss {
        Loss::Removed | Loss::LogRemoved => {
            "the file of the trainer's job database was removed while the trainer ran and cannot be written again yet: nothing is accepted until an operator restores the state folder or makes room in it; see the trainer's log"
        }
        Loss::Replaced => {
            "the file of the trainer's job database was replaced while the trainer ran: nothing is accepted until an operator puts it back or restarts the trainer; see the trainer's log"
        }
    }
}

/// Whether another connection holds a lock that SQLite needs.
pub(super) fn is_locked(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Whether SQLite found the disk full.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// The error of a value that cannot be read.
pub(super) fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
