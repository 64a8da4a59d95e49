//! Marks jobs that published checkpoints and were cancelled or failed, on the storage, for readers
//! without the job database.

use crate::{job::JobState, store::Store};
use digits_checkpoint::{
    Storage,
    unfinished::{Unfinished, mark},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A storage that takes longer is left to [`keep_marking`], or to the next job that ends.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Pause of [`keep_marking`] after the first failure; it doubles up to [`INTERVAL`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Interval of [`keep_marking`].
const INTERVAL: Duration = Duration::from_secs(60);

/// Marks the jobs that earlier processes or failures left unmarked, however many there are, until
/// `stop` is cancelled.
pub async fn keep_marking(store: Store, storage: Storage, stop: CancellationToken) {
    let mut failures = 0;
    while let Some(marked) = stop.run_until_cancelled(mark_all(&store, &storage)).await {
        let pause = match marked {
            Ok(()) => {
                failures = 0;
                INTERVAL
            }
            Err(error) => {
                // Logged once until all are marked.
                if failures == 0 {
                    log_failure(&error);
                }
                failures += 1;
                INTERVAL.min(FIRST_PAUSE * 2_u32.saturating_pow(failures - 1))
            }
        };
        let waited = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        if waited.is_none() {
            return;
        }
    }
}

/// Marks every job that is to be marked. A failure is logged and repaired by a later call.
pub async fn mark_unfinished(store: &Store, storage: &Storage) {
    let marking = tokio::time::timeout(TIME_LIMIT, mark_all(store, storage));
    let error = match marking.await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(elapsed) => elapsed.into(),
    };
    log_failure(&error);
}

fn log_failure(error: &anyhow::Error) {
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
