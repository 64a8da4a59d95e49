//! Removes from the storage what the attempts of jobs that are over have left there.

use crate::{
    job::JobId,
    store::{Store, StoreError},
};
use digits_checkpoint::{Storage, runs};
use std::time::Duration;

/// A storage that takes longer is left to the next job that ends, or to the retention sweep.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Removes what the attempts of jobs that are over have left. A later call repairs a failure.
pub async fn clear_runs(store: &Store, storage: &Storage) {
    let clearing = tokio::time::timeout(TIME_LIMIT, clear_finished(store, storage));
    let error = match clearing.await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(elapsed) => elapsed.into(),
    };
    tracing::warn!(%error, "what the worker of a job left on the storage is not removed yet");
}

async fn clear_finished(store: &Store, storage: &Storage) -> anyhow::Result<()> {
    let mut first_error = Ok(());
    for job in store.finished_runs().await? {
        let cleared = async {
            runs::clear(storage, &job.to_string()).await?;
            anyhow::Ok(store.run_cleared(job).await?)
        };
        first_error = first_error.and(cleared.await);
    }
    first_error
}

/// The same, and removes what workers that nobody followed have written since. What belongs to jobs
/// of other trainers stays. A failure for one job does not keep the others from it.
///
/// # Errors
/// When the database or the storage fails.
pub async fn sweep_runs(store: &Store, storage: &Storage) -> anyhow::Result<()> {
    let mut first_error = clear_finished(store, storage).await;
    for name in runs::jobs(storage).await? {
        let Ok(id) = name.parse::<JobId>() else {
            continue;
        };
        match store.job(id).await {
            Ok(job) if job.state.is_end() => {
                let cleared = runs::clear(storage, &name).await;
                first_error = first_error.and(cleared.map_err(Into::into));
            }
            Ok(_) | Err(StoreError::NoSuchJob) => {}
            Err(error) => return Err(error.into()),
        }
    }
    first_error
}
