//! Publishes a job's checkpoints in order and promotes them by the job's policy: one task per job.
//!
//! The id of a checkpoint is in the database before its first byte is on the storage. A storage
//! that fails is retried a few times; then the job fails, and the next start finishes or abandons
//! the checkpoint.

use super::{
    error::{JobError, PublishError},
    intent_log::{StoreIntentLog, author},
    job_run::JobRun,
    outage::Outages,
    pending_checkpoint::PendingCheckpoint,
    promotion_log,
    sink::Sink,
    watermark::DurabilityWatermark,
};
use crate::{
    job::now_us,
    store::{CheckpointIntent, IntentState},
};
use backon::{ExponentialBuilder, Retryable as _};
use digits_checkpoint::{
    StorageError,
    publication::{self, Outcome},
};
use futures::TryFutureExt as _;
use std::{panic::resume_unwind, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::spawn_blocking};

/// Checkpoints that may wait for the storage before the training waits for them.
const MAX_WAITING_CHECKPOINTS: usize = 1;
const MAX_RETRIES: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Publishes checkpoints, one after another.
pub(super) struct Publisher {
    run: Arc<JobRun>,
    watermark: DurabilityWatermark,
}

impl Publisher {
    pub(super) fn start(
        run: &Arc<JobRun>,
        watermark: DurabilityWatermark,
    ) -> Sink<PendingCheckpoint> {
        let run = Arc::clone(run);
        let runtime = run.context.runtime.clone();
        let publisher = Self { run, watermark };
        Sink::start(&runtime, MAX_WAITING_CHECKPOINTS, |pending| {
            publisher.publish_all(pending)
        })
    }

    async fn publish_all(
        self,
        mut pending: mpsc::Receiver<PendingCheckpoint>,
    ) -> Result<(), JobError> {
        while let Some(checkpoint) = pending.recv().await {
            let epoch = checkpoint.snapshot.epoch;
            self.publish(checkpoint)
                .await
                .map_err(|source| JobError::Publish { epoch, source })?;
            self.watermark.add_checkpoint();
        }
        Ok(())
    }

    /// Intent, files, manifest, promotion: each step is durable before the next begins. A
    /// checkpoint that an earlier attempt has committed costs neither a report card nor a second
    /// publication.
    async fn publish(&self, checkpoint: PendingCheckpoint) -> Result<(), PublishError> {
        let JobRun {
            context,
            job,
            rules,
            ..
        } = &*self.run;
        let (job, rules, taken) = (*job, *rules, checkpoint.taken);
        let (epoch, step) = (checkpoint.snapshot.epoch, checkpoint.snapshot.step);
        let weights = on_blocking_thread(|| checkpoint.encode()).await;
        let weights_sha256 = weights.sha256.clone();
        let outages = Outages::of(&self.run);
        let earlier = outages
            .outlast(|| {
                context
                    .store
                    .committed_before(job, epoch, weights_sha256.clone())
            })
            .await?;
        if let Some(earlier) = earlier {
            tracing::info!(%job, checkpoint = %earlier, epoch, "an earlier attempt has published this checkpoint");
            return Ok(());
        }
        let run = Arc::clone(&self.run);
        let draft = on_blocking_thread(move || weights.draft(&run)).await?;
        let id = draft.manifest.id;
        let intent = CheckpointIntent {
            id,
            job,
            epoch,
            step,
            promotion: rules.policy,
            scope: rules.scope,
            weights_sha256,
            state: IntentState::Planned,
            serving_sequence: 0,
        };
        outages
            .outlast(|| context.store.plan_checkpoint(intent.clone()))
            .await?;
        let log = StoreIntentLog(context.store.clone());
        let commit = || publication::commit(&context.storage, &log, draft.clone());
        let manifest = outages.outlast(|| self.retry_with_backoff(commit)).await?;
        context.metrics.published(taken.elapsed(), now_us());
        let by = author(job);
        let finalize = || publication::finalize(&context.storage, &log, &manifest, rules, &by);
        let ended = outages
            .outlast(|| self.retry_with_backoff(finalize))
            .await?;
        let decision = match ended {
            Outcome::Completed(decision) => decision,
            Outcome::Abandoned => return Err(StorageError::Tombstoned { id }.into()),
        };
        tracing::info!(
            %job, checkpoint = %id, epoch, sequence = decision.sequence,
            milliseconds = taken.elapsed().as_secs_f64() * 1e3, "checkpoint published"
        );
        promotion_log::report(&context.metrics, job, &manifest, &decision);
        Ok(())
    }

    /// Repeats `attempt` while the storage fails in a way that may pass and the job is not stopped.
    async fn retry_with_backoff<T, F>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, PublishError>
    where
        F: Future<Output = Result<T, PublishError>>,
    {
        let backoff = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_factor(2.0)
            .with_max_times(MAX_RETRIES);
        let may_pass = |error: &PublishError| match error {
            PublishError::Storage(error) => {
                !error.is_final() && self.run.running.stop_reason().is_none()
            }
            PublishError::Store(_) | PublishError::Stopped => false,
        };
        let counted = || {
            attempt().inspect_err(|error| {
                if matches!(error, PublishError::Storage(_)) {
                    self.run.context.metrics.publish_failed();
                }
            })
        };
        counted
            .retry(backoff)
            .when(may_pass)
            .notify(|error, pause| {
                tracing::warn!(job = %self.run.job, %error, ?pause, "the storage failed; retrying");
            })
            .await
    }
}

/// Computes on a thread on which no task runs. A panic continues in the caller.
async fn on_blocking_thread<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> T {
    let computed = spawn_blocking(compute).await;
    computed.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
