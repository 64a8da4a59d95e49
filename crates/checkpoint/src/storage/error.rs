//! What can go wrong with the storage.

use crate::{id::CheckpointId, refusal::Refusal};
use object_store::Error as StoreError;
use std::path::PathBuf;

/// A failure of the storage, or something on it that stands in the way.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The address cannot be used.
    #[error("storage address `{url}`: {reason}")]
    Url {
        /// The address, without secrets.
        url: String,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// The folder cannot be used.
    #[error("storage folder {}: {source}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something that should be there is not, perhaps not yet.
    #[error("{key} is not on the storage")]
    Missing {
        /// Which key.
        key: String,
    },
    /// The credentials do not allow it.
    #[error(
        "{key} is denied; on S3 a missing key reads like this too unless the role has s3:ListBucket: {source}"
    )]
    Denied {
        /// Which key.
        key: String,
        /// What the store said.
        source: StoreError,
    },
    /// The store failed.
    #[error("{key} cannot be {operation}: {source}")]
    Store {
        /// What was tried: written, read, listed, deleted.
        operation: &'static str,
        /// On which key.
        key: String,
        /// What the store said.
        source: StoreError,
    },
    /// Bytes were to be written under a key that holds others.
    #[error("{key} is on the storage already with other content; use another id")]
    Conflict {
        /// Which key.
        key: String,
    },
    /// The storage lets a key be created twice.
    #[error(
        "storage {url} lets a key be created twice; it needs create-if-absent (If-None-Match on S3)"
    )]
    NotExclusive {
        /// Which storage.
        url: String,
    },
    /// What lies there is not of a form that this program knows.
    #[error("{key} cannot be understood: {reason}")]
    Unreadable {
        /// Which key.
        key: String,
        /// Why.
        reason: String,
    },
    /// More bytes than are accepted.
    #[error("{key} has {size} bytes where at most {limit} are accepted")]
    TooLarge {
        /// Which key.
        key: String,
        /// Its bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The checkpoint is about to be deleted.
    #[error("checkpoint {id} is marked for deletion")]
    Tombstoned {
        /// Which checkpoint.
        id: CheckpointId,
    },
    /// Others wrote first, again and again.
    #[error("{key}: other writers came first {attempts} times; try again")]
    Contended {
        /// The key that was last tried.
        key: String,
        /// How often.
        attempts: u32,
    },
    /// What was to be published would be refused by every reader.
    #[error("the draft of checkpoint {id} is not publishable: {refusal}")]
    Draft {
        /// Which checkpoint.
        id: CheckpointId,
        /// Why.
        refusal: Refusal,
    },
    /// A task of this process broke down.
    #[error("a background task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// This process can have no further thread.
    #[error("no thread could be started: {0}")]
    Thread(#[source] std::io::Error),
}

impl StorageError {
    /// What the operating system said, where it said something: whether the disk is full, for one.
    #[must_use]
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        let mut error: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(inner) = error {
            if let Some(io) = inner.downcast_ref::<std::io::Error>() {
                return Some(io.kind());
            }
            error = inner.source();
        }
        None
    }

    /// Whether the key holds something that this program cannot read, written by a newer program or damaged.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable { .. } | Self::TooLarge { .. })
    }

    /// Whether a retry cannot succeed.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Url { .. }
                | Self::Conflict { .. }
                | Self::NotExclusive { .. }
                | Self::TooLarge { .. }
                | Self::Tombstoned { .. }
                | Self::Draft { .. }
        )
    }

    pub(crate) fn from_store(operation: &'static str, key: &str, source: StoreError) -> Self {
        let key = key.to_owned();
        match source {
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
                Self::Denied { key, source }
            }
            source => Self::Store {
                operation,
                key,
                source,
            },
        }
    }
}
