//! Puts snapshots of the job database on the storage, and deletes what they contain.

use super::replica;
use crate::store::{error::StoreError, files::DATABASE};
use digits_checkpoint::{StorageError, journal::Journal};
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{runtime::Handle, task::JoinHandle};

/// Time for which a snapshot waits for a lock of the database.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(5);

/// Takes one snapshot at a time, beside the thread that owns the database.
pub(super) struct Snapshots {
    journal: Journal,
    folder: PathBuf,
    runtime: Handle,
    running: Option<JoinHandle<()>>,
}

/// Why a snapshot was not taken.
#[derive(Debug, thiserror::Error)]
enum SnapshotError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("a background task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Snapshots {
    pub(super) fn new(journal: Journal, folder: &Path, runtime: Handle) -> Self {
        Self {
            journal,
            folder: folder.to_owned(),
            runtime,
            running: None,
        }
    }

    /// Begins a snapshot, unless one is under way; whether it did.
    pub(super) fn take(&mut self) -> bool {
        if self.running.as_ref().is_some_and(|it| !it.is_finished()) {
            return false;
        }
        let (journal, folder) = (self.journal.clone(), self.folder.clone());
        self.running = Some(self.runtime.spawn(async move {
            match snapshot(&journal, folder).await {
                Ok(()) => tracing::debug!("a snapshot of the job database is on the storage"),
                Err(error) => {
                    tracing::warn!(%error, "no snapshot of the job database: its journal grows");
                }
            }
        }));
        true
    }
}

async fn snapshot(journal: &Journal, folder: PathBuf) -> Result<(), SnapshotError> {
    let copying = move || {
        let source = Connection::open(folder.join(DATABASE))?;
        source.busy_timeout(MAX_LOCK_WAIT)?;
        replica::copy(&source, &folder.join("snapshot.copy"))
    };
    let (at, bytes) = tokio::task::spawn_blocking(copying).await??;
    journal.put_snapshot(at, bytes).await?;
    journal.prune().await?;
    Ok(())
}
