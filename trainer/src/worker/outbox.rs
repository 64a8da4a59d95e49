//! Checkpoints that wait for a storage that fails, in the state folder: a storage of its own, with
//! the same files. A process that is killed meanwhile publishes them at its next start.

use bytes::Bytes;
use digits_checkpoint::{
    Draft, LoadError, Storage, StorageError, id::CheckpointId, load, manifest, model_file, publish,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The checkpoints of all jobs that wait.
pub struct Outbox {
    storage: Storage,
    checkpoints: PathBuf,
}

impl Outbox {
    /// Opens the folder below `state`, and creates it where it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(state: &Path) -> Result<Self, StorageError> {
        let folder = state.join("outbox");
        Ok(Self {
            storage: Storage::open(&folder.to_string_lossy())?,
            checkpoints: folder.join("checkpoints"),
        })
    }

    /// Keeps a checkpoint; it is durable when this returns. Idempotent.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub(super) async fn keep(&self, draft: Draft) -> Result<(), StorageError> {
        publish(&self.storage, draft).await.map(|_| ())
    }

    /// A checkpoint that was kept, verified; `None` where it was not.
    ///
    /// # Errors
    /// [`LoadError::Refused`] when its files are damaged.
    pub(super) async fn find(&self, id: CheckpointId) -> Result<Option<Draft>, LoadError> {
        let Some(manifest) = manifest(&self.storage, id).await? else {
            return Ok(None);
        };
        load(&self.storage, id).await?;
        let model = model_file(&self.storage, &manifest).await?;
        let key = format!("checkpoints/{id}/exam.safetensors");
        let size = manifest.files.exam.size_bytes;
        let exam: Option<Bytes> = self.storage.get(&key, size).await?;
        let exam = exam.ok_or(StorageError::Missing { key })?;
        Ok(Some(Draft {
            manifest,
            model,
            exam,
        }))
    }

    /// Deletes a checkpoint, if it is there.
    pub(super) fn remove(&self, id: CheckpointId) {
        // On failure the next start deletes it.
        let _ = fs::remove_dir_all(self.checkpoints.join(id.to_string()));
    }

    /// Deletes all checkpoints.
    pub(super) fn clear(&self) {
        // On failure the next start tries again.
        let _ = fs::remove_dir_all(&self.checkpoints);
    }
}
