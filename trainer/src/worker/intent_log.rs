//! The job database as the intent log of the checkpoint protocol.

use super::error::PublishError;
use crate::{job::JobId, store::Store};
use digits_checkpoint::{id::CheckpointId, publication::IntentLog, serving::Decision};

/// The job database as an intent log: what a call wrote is durable when it returns.
pub(super) struct StoreIntentLog(pub(super) Store);

impl IntentLog for StoreIntentLog {
    type Error = PublishError;

    async fn committed(&self, id: CheckpointId) -> Result<(), PublishError> {
        Ok(self.0.checkpoint_committed(id).await?)
    }

    async fn completed(&self, id: CheckpointId, decision: &Decision) -> Result<(), PublishError> {
        Ok(self.0.checkpoint_done(id, decision.clone()).await?)
    }

    async fn abandoned(&self, id: CheckpointId) -> Result<(), PublishError> {
        Ok(self.0.checkpoint_abandoned(id).await?)
    }
}

/// The author of a job's serving records.
pub(super) fn author(job: JobId) -> String {
    format!("job {job}")
}
