//! The result of a trial whose job has ended: its newest checkpoint, with the validation result in
//! the manifest on the storage.

use super::trial::TrialResult;
use crate::{job::JobState, store::Job};
use digits_checkpoint::{Storage, StorageError, id::CheckpointId};

/// The result of a trial.
///
/// # Errors
/// When the storage cannot be read, which may pass.
pub(super) async fn outcome(job: &Job, storage: &Storage) -> Result<TrialResult, StorageError> {
    if job.state != JobState::Succeeded {
        return Ok(TrialResult::WithJob);
    }
    let newest: Option<CheckpointId> = job.published.ids.last().and_then(|id| id.parse().ok());
    let Some(id) = newest else {
        return Ok(without("its job published no checkpoint"));
    };
    let manifest = match digits_checkpoint::manifest(storage, id).await {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return Ok(without("its checkpoint was deleted before it was compared")),
        Err(StorageError::Unreadable { .. } | StorageError::TooLarge { .. }) => {
            return Ok(without("the manifest of its checkpoint cannot be read"));
        }
        Err(error) => return Err(error),
    };
    Ok(match manifest.metrics.validation {
        Some(validation) => TrialResult::Measured(id, validation),
        None => without("its checkpoint has no validation result"),
    })
}

fn without(reason: &str) -> TrialResult {
    TrialResult::Without(reason.to_owned())
}
