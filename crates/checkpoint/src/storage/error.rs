//! Errors of the storage.

use super::response;
use crate::{id::CheckpointId, refusal::Refusal, signature::Untrusted};
use object_store::Error as StoreError;
use std::path::PathBuf;

/// A failed operation on the storage, or unusable content.
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
    /// An environment variable that the store's client needs has a value that cannot be used.
    #[error("{name}: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with its value, and the remedy. Shows no secret.
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
    /// An expected key does not exist, perhaps not yet.
    #[error("{key} is not on the storage")]
    Missing {
        /// The key.
        key: String,
    },
    /// The bucket does not exist.
    #[error(
        "storage {url}: there is no such bucket or container; create it, or correct its name in the address"
    )]
    NoBucket {
        /// Address of the storage.
        url: String,
    },
    /// The credentials do not allow it.
    #[error(
        "{key} is denied: check the credentials, and that they allow to list, read, create and delete; \
         without the right to list, a missing key reads like this too: {source}"
    )]
    Denied {
        /// The key.
        key: String,
        /// The store's error.
        source: StoreError,
    },
    /// The store failed.
    #[error("{key} cannot be {operation}: {source}")]
    Store {
        /// The operation, as a participle: written, read, listed, deleted.
        operation: &'static str,
        /// The key.
        key: String,
        /// The store's error.
        source: StoreError,
    },
    /// The key to be written holds other bytes.
    #[error("{key} is on the storage already with other content; use another id")]
    Conflict {
        /// The key.
        key: String,
    },
    /// The storage lets a key be created twice.
    #[error(
        "storage {url} lets a key be created twice; it needs create-if-absent (If-None-Match on S3)"
    )]
    NotExclusive {
        /// Address of the storage.
        url: String,
    },
    /// The storage is a folder on a file system without hard links.
    #[error(
        "storage folder {}: its file system has no hard links, by which the storage creates a file only if it is absent: \
         {source}; use a local disk, a block volume, NFS or a bucket (s3://, gs:// or az://) in place of SMB, FAT, gcsfuse, \
         blobfuse or s3fs",
        .path.display()
    )]
    NoHardLinks {
        /// The folder.
        path: PathBuf,
        /// The error of link(2).
        source: std::io::Error,
    },
    /// The content is not signed by a trusted key.
    #[error(
        "{key} is not trusted: {source}; find out who wrote it, or sign a storage that was never signed with `digits sign`"
    )]
    Untrusted {
        /// The key.
        key: String,
        /// Why.
        source: Untrusted,
    },
    /// A folder has the name of the file.
    #[error("{}: a folder has the name of a file that is to be written; remove or rename the folder", .path.display())]
    NameTaken {
        /// The folder.
        path: PathBuf,
    },
    /// The content has no format that this program knows.
    #[error("{key} cannot be understood: {reason}")]
    Unreadable {
        /// The key.
        key: String,
        /// Why.
        reason: String,
    },
    /// The content is larger than accepted.
    #[error("{key} has {size} bytes where at most {limit} are accepted")]
    TooLarge {
        /// The key.
        key: String,
        /// Its size in bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The checkpoint is about to be deleted.
    #[error("checkpoint {id} is marked for deletion")]
    Tombstoned {
        /// The checkpoint.
        id: CheckpointId,
    },
    /// Other writers came first at every attempt.
    #[error("{key}: other writers came first {attempts} times; try again")]
    Contended {
        /// The key of the last attempt.
        key: String,
        /// Number of attempts.
        attempts: u32,
    },
    /// Another process has taken this trainer's place.
    #[error("{key} is not written: another process has taken the place of trainer {trainer}")]
    Fenced {
        /// The key.
        key: String,
        /// Name of the trainer.
        trainer: String,
    },
    /// Every reader would refuse the draft.
    #[error("the draft of checkpoint {id} is not publishable: {refusal}")]
    Draft {
        /// The checkpoint.
        id: CheckpointId,
        /// Why.
        refusal: Refusal,
    },
    /// A background task of this process failed.
    #[error("a background task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// No further thread could be started.
    #[error("no thread could be started: {0}")]
    Thread(#[source] std::io::Error),
}

impl StorageError {
    /// The operating system's error kind, if there is one, such as a full disk.
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

    /// Whether the key holds something that this program cannot read, written by a newer program or
    /// damaged, or must not trust.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(
            self,
            Self::Unreadable { .. } | Self::TooLarge { .. } | Self::Untrusted { .. }
        )
    }

    /// Whether a retry cannot succeed.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Url { .. }
                | Self::Variable { .. }
                | Self::Conflict { .. }
                | Self::NotExclusive { .. }
                | Self::NoHardLinks { .. }
                | Self::TooLarge { .. }
                | Self::Tombstoned { .. }
                | Self::Draft { .. }
        )
    }

    pub(crate) fn from_store(operation: &'static str, key: &str, source: StoreError) -> Self {
        let key = key.to_owned();
        match response::is_denied(&source) {
            true => Self::Denied { key, source },
            false => Self::Store {
                operation,
                key,
                source,
            },
        }
    }
}
