//! Checkpoints under way, as the job database keeps them.

use super::publisher::Failure;
use crate::{
    job::JobId,
    store::{Store, StoreError},
};
use digits_checkpoint::{StorageError, id::CheckpointId, publication::IntentLog};

/// The job database as an intent log; its calls block, so they go to threads of their own.
pub(super) struct Intentions(pub(super) Store);

impl Intentions {
    async fn write(
        &self,
        write: impl FnOnce(Store) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), Failure> {
        let store = self.0.clone();
        let written = tokio::task::spawn_blocking(move || write(store)).await;
        Ok(written.map_err(StorageError::from)??)
    }
}

impl IntentLog for Intentions {
    type Error = Failure;

    async fn committed(&self, id: CheckpointId) -> Result<(), Failure> {
        self.write(move |store| store.checkpoint_committed(id))
            .await
    }

    async fn completed(&self, id: CheckpointId, sequence: u64) -> Result<(), Failure> {
        self.write(move |store| store.checkpoint_done(id, sequence))
            .await
    }

    async fn abandoned(&self, id: CheckpointId) -> Result<(), Failure> {
        self.write(move |store| store.checkpoint_abandoned(id))
            .await
    }
}

/// Who writes the serving records of a job.
pub(super) fn writer(job: JobId) -> String {
    format!("job {job}")
}
