//! Recovers, at startup, the checkpoints and resume bundles that the last process left behind.

use super::{
    bundles::Bundles,
    context::WorkerContext,
    error::PublishError,
    intent_log::{StoreIntentLog, author},
};
use crate::{
    job::JobId,
    store::{CheckpointIntent, IntentState, Store},
};
use digits_checkpoint::{
    publication::{Outcome, commit, recover},
    serving::PromotionRules,
};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// Publishes every checkpoint that waited for the storage in the outbox, finishes those whose
/// manifest is on the storage (the promotion is decided and carried out) and abandons the others:
/// their weights died with the process, and the job makes them again. Returns how many were finished
/// and abandoned.
///
/// # Errors
/// When database or storage fail; then nothing is decided and the next start tries again.
pub async fn finish_checkpoints(services: &WorkerContext) -> anyhow::Result<(usize, usize)> {
    let WorkerContext {
        store,
        storage,
        outbox,
        promotion_guard: guard,
        ..
    } = services;
    let log = StoreIntentLog(store.clone());
    let (mut finished, mut abandoned) = (0, 0);
    for intent in store.unfinished_checkpoints().await? {
        publish_kept(services, &intent, &log).await?;
        let (id, by) = (intent.id, author(intent.job));
        let rules = PromotionRules {
            policy: intent.promotion,
            scope: intent.scope,
            guard: *guard,
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
    // All are on the storage, or will never be.
    outbox.clear();
    Ok((finished, abandoned))
}

/// Publishes a checkpoint that the last process kept because the storage failed, unless its job is
/// over: nobody waits for it then.
async fn publish_kept(
    services: &WorkerContext,
    intent: &CheckpointIntent,
    log: &StoreIntentLog,
) -> anyhow::Result<()> {
    let (job, id) = (intent.job, intent.id);
    if intent.state != IntentState::Planned || services.store.job(job).await?.state.is_end() {
        return Ok(());
    }
    match services.outbox.find(id).await {
        Ok(None) => Ok(()),
        Ok(Some(draft)) => match commit(&services.storage, log, draft).await {
            Ok(_) => {
                tracing::info!(%job, checkpoint = %id, "published a checkpoint that had waited for the storage");
                Ok(())
            }
            // Recorded as abandoned.
            Err(PublishError::Storage(error)) if error.is_final() => {
                tracing::error!(%job, checkpoint = %id, %error, "a checkpoint that had waited for the storage is refused");
                Ok(())
            }
            Err(error) => Err(error.into()),
        },
        Err(error) => {
            // Its bundles came after it: without them the job makes it again.
            tracing::error!(%job, checkpoint = %id, %error, "a checkpoint that had waited for the storage is damaged; its job starts over");
            services.bundles.remove(job);
            Ok(())
        }
    }
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
