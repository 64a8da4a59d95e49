//! At the start: every checkpoint whose end the last process did not see is finished or abandoned, and the bundles
//! of jobs that have ended go.

use super::{
    bundles::Bundles,
    intentions::{Intentions, writer},
};
use crate::{job::JobId, store::Store, wire::promotion_policy};
use digits_checkpoint::{
    Storage,
    publication::{Outcome, recover},
};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// Finishes every intention whose manifest is on the storage (its promotion is carried out) and abandons the
/// others: their weights died with the process, and the job makes them again. Returns how many of each.
///
/// # Errors
/// When database or storage fail; then nothing is decided and the next start tries again.
pub async fn finish_intentions(store: &Store, storage: &Storage) -> anyhow::Result<(usize, usize)> {
    let reader = store.clone();
    let unfinished = tokio::task::spawn_blocking(move || reader.unfinished_checkpoints()).await??;
    let ledger = Intentions(store.clone());
    let (mut finished, mut abandoned) = (0, 0);
    for intention in unfinished {
        let (id, by) = (intention.id, writer(intention.job));
        let policy = promotion_policy(intention.promotion);
        match recover(storage, &ledger, id, policy, &by).await? {
            Outcome::Completed(sequence) => {
                tracing::info!(checkpoint = %id, sequence, "a checkpoint of the last process was finished");
                finished += 1;
            }
            Outcome::Abandoned => {
                tracing::info!(checkpoint = %id, "a checkpoint of the last process was abandoned");
                abandoned += 1;
            }
        }
    }
    Ok((finished, abandoned))
}

/// Notes how far the resume bundles are: the last process may have died between writing one and noting it.
///
/// # Errors
/// When the database fails.
pub async fn note_bundles(store: &Store, bundles: &Arc<Bundles>) -> anyhow::Result<()> {
    let jobs = store.unfinished_jobs().await?;
    let (store, bundles) = (store.clone(), Arc::clone(bundles));
    tokio::task::spawn_blocking(move || {
        for job in jobs {
            // One that is damaged is told of when the job goes on.
            if let Some(step) = bundles.newest_step(job) {
                store.bundle_kept(job, step, Duration::ZERO)?;
            }
        }
        Ok(())
    })
    .await?
}

/// Takes away the resume bundles that no job has a use for any longer.
///
/// # Errors
/// When the database or the folder cannot be read.
pub async fn sweep_bundles(store: &Store, bundles: &Arc<Bundles>) -> anyhow::Result<()> {
    let jobs: HashSet<JobId> = store.unfinished_jobs().await?.into_iter().collect();
    let bundles = Arc::clone(bundles);
    let swept = tokio::task::spawn_blocking(move || bundles.sweep(&jobs)).await??;
    if swept > 0 {
        tracing::info!(files = swept, "bundles of ended jobs were swept");
    }
    Ok(())
}
