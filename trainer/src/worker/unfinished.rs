//! Marks jobs that published checkpoints and were cancelled or failed, on the storage, for readers
//! without the job database.

use crate::{job::JobState, store::Store};
use digits_checkpoint::{
    Storage,
    unfinished::{Unfinished, mark},
};
use std::time::Duration;

/// A storage that takes longer is tried again when the next job ends, or at the next start.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Marks every job that is to be marked. A failure is logged and repaired by a later call.
pub async fn mark_unfinished(store: &Store, storage: &Storage) {
    let marking = tokio::time::timeout(TIME_LIMIT, mark_all(store, storage));
    let error = match marking.await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(elapsed) => elapsed.into(),
    };
    tracing::warn!(%error, "checkpoints of a cancelled or failed job are not marked on the storage yet");
}

async fn mark_all(store: &Store, storage: &Storage) -> anyhow::Result<()> {
    for (job, state) in store.unmarked_jobs().await? {
        let how = match state {
            JobState::Cancelled => Unfinished::Cancelled,
            _ => Unfinished::Failed,
        };
        mark(storage, &job.to_string(), how).await?;
        store.job_marked(job).await?;
    }
    Ok(())
}
