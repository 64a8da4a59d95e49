//! Loads the checkpoint that a job starts from, once, when the job begins: verified as every reader
//! of the storage verifies it (sizes, digests, shapes, finite numbers).

use super::{error::JobError, running::RunningJob, services::TrainingServices};
use crate::train::InitialWeights;
use backon::{ExponentialBuilder, Retryable as _};
use digits_checkpoint::{LoadError, StorageError, id::CheckpointId, load};
use std::time::Duration;

const MAX_RETRIES: usize = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The weights of `id`. A storage that fails is retried, unless the job is stopped.
pub(super) async fn load_weights(
    services: &TrainingServices,
    running: &RunningJob,
    id: CheckpointId,
) -> Result<InitialWeights, JobError> {
    let backoff = ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_factor(2.0)
        .with_max_times(MAX_RETRIES);
    let may_pass = |error: &LoadError| match error {
        LoadError::Refused(_) | LoadError::Unavailable(StorageError::Missing { .. }) => false,
        LoadError::Unavailable(_) => running.stop_reason().is_none(),
    };
    let loaded = (|| load(&services.storage, id))
        .retry(backoff)
        .when(may_pass)
        .notify(|error, pause| {
            tracing::warn!(checkpoint = %id, %error, ?pause, "the checkpoint to start from cannot be read; retrying");
        })
        .await
        .map_err(|error| JobError::Parent {
            id,
            source: Box::new(error),
        })?;
    Ok(InitialWeights::new(loaded.layers))
}
