//! Recovers, at startup, the checkpoints and resume bundles that the last process left behind.

use super::{
    bundles::Bundles,
    intent_log::{StoreIntentLog, author},
};
use crate::{job::JobId, store::Store};
use digits_checkpoint::{
    Storage,
    publication::{Outcome, recover},
    serving::PromotionRules,
};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// Finishes every checkpoint whose manifest is on the storage (its promotion is decided, with the
/// operator's `guard`, and carried out) and abandons the others: their weights died with the process, and the job makes them again. Returns
/// how many of each.
///
/// # Errors
/// When database or storage fail; then nothing is decided and the next start tries again.
pub async fn finish_checkpoints(
    store: &Store,
    storage: &Storage,
    guard: Option<f64>,
) -> anyhow::Result<(usize, usize)> {
    let log = StoreIntentLog(store.clone());
    let (mut finished, mut abandoned) = (0, 0);
    for intent in store.unfinished_checkpoints().await? {
        let (id, by) = (intent.id, author(intent.job));
        let rules = PromotionRules {
            policy: intent.promotion,
            scope: intent.scope,
            guard,
        };
        match recover(storage, &log, id, rules, &by).await? {
            Outcome::Completed(decision) => {
                let (sequence, why) = (decision.sequence, decision.explanation);
                tracing::info!(checkpoint = %id, sequence, why, "finished a checkpoint of the last process");
                finished += 1;
            }
            Outcome::Abandoned => {
                tracing::info!(checkpoint = %id, "abandoned a checkpoint of the last process");
                abandoned += 1;
            }
        }
    }
    Ok((finished, abandoned))
}

/// Records how far the resume bundles are: the last process may have died between writing a bundle
/// and recording it.
///
/// # Errors
/// When the database fails.
pub async fn record_bundles(store: &Store, bundles: &Arc<Bundles>) -> anyhow::Result<()> {
    for job in store.unfinished_jobs().await? {
        let bundles = Arc::clone(bundles);
        // A damaged bundle is reported when the job is resumed.
        let step = tokio::task::spawn_blocking(move || bundles.newest_step(job)).await?;
        if let Some(step) = step {
            store.record_bundle(job, step, Duration::ZERO).await?;
        }
    }
    Ok(())
}

/// Deletes the resume bundles of jobs that are over.
///
/// # Errors
/// When the database or the folder cannot be read.
pub async fn sweep_bundles(store: &Store, bundles: &Arc<Bundles>) -> anyhow::Result<()> {
    let jobs: HashSet<JobId> = store.unfinished_jobs().await?.into_iter().collect();
    let bundles = Arc::clone(bundles);
    let swept = tokio::task::spawn_blocking(move || bundles.sweep(&jobs)).await??;
    if swept > 0 {
        tracing::info!(
            files = swept,
            "deleted resume bundles of jobs that are over"
        );
    }
    Ok(())
}
