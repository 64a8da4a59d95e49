//! Publishes a job's checkpoints and promotes them by the job's policy.
//!
//! The id of a checkpoint is in the database before its first byte is on the storage. While the
//! storage fails, the checkpoint is kept in the [`Outbox`](super::Outbox) and the job waits, for as
//! long as the operator allows.

use super::{
    context::WorkerContext,
    error::PublishError,
    intent_log::{StoreIntentLog, author},
    outage::{Outages, WriteError},
    promotion_log,
    running::{RunningJob, StopReason},
    watermark::DurabilityWatermark,
};
use crate::{
    job::{JobId, now_us},
    store::{CheckpointIntent, IntentState},
};
use digits_checkpoint::{
    Draft, StorageError,
    manifest::Manifest,
    publication::{self, Outcome},
    serving::{Decision, PromotionRules},
};
use std::{
    panic::resume_unwind,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::OnceCell, task::spawn_blocking};

/// Time that an attempt has after the job was stopped.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Publishes the checkpoints of one job.
pub(super) struct Publisher {
    pub(super) context: WorkerContext,
    pub(super) job: JobId,
    /// Rules by which its checkpoints are promoted.
    pub(super) rules: PromotionRules,
    pub(super) running: Arc<RunningJob>,
    pub(super) watermark: DurabilityWatermark,
}

/// A checkpoint that is to be published.
pub(super) struct PlannedCheckpoint {
    pub(super) epoch: u32,
    pub(super) step: u64,
    /// When the training handed the weights out.
    pub(super) taken: Instant,
    /// Digest of `model.safetensors`.
    pub(super) weights_sha256: String,
}

/// A checkpoint whose intent is in the database.
pub(super) struct Prepared {
    pub(super) draft: Draft,
    /// When the training handed the weights out.
    taken: Instant,
    /// Set once the checkpoint outlasts a crash of the process, so that resume bundles may follow it.
    durable: OnceCell<()>,
}

impl Publisher {
    /// Makes the files of a checkpoint by `draft` and records its intent; `None` where an earlier
    /// attempt has committed it, which costs neither a report card nor a second publication.
    pub(super) async fn plan(
        &self,
        planned: PlannedCheckpoint,
        draft: impl Future<Output = Result<Draft, PublishError>>,
    ) -> Result<Option<Prepared>, PublishError> {
        let Self {
            context,
            job,
            rules,
            ..
        } = self;
        let (job, epoch) = (*job, planned.epoch);
        let outages = self.outages(epoch);
        let find = || {
            let digest = planned.weights_sha256.clone();
            context.store.committed_before(job, epoch, digest)
        };
        if let Some(earlier) = outages.outlast(find).await? {
            tracing::info!(%job, checkpoint = %earlier, epoch, "an earlier attempt has published this checkpoint");
            self.watermark.add_checkpoint();
            return Ok(None);
        }
        let draft = draft.await?;
        let intent = CheckpointIntent {
            id: draft.manifest.id,
            job,
            epoch,
            step: planned.step,
            promotion: rules.policy,
            scope: rules.scope,
            weights_sha256: planned.weights_sha256.clone(),
            state: IntentState::Planned,
            serving_sequence: 0,
        };
        let plan = || context.store.plan_checkpoint(intent.clone());
        outages.outlast(plan).await?;
        Ok(Some(Prepared {
            draft,
            taken: planned.taken,
            durable: OnceCell::new(),
        }))
    }

    /// Files, manifest, promotion: each step is durable before the next begins.
    pub(super) async fn publish(&self, prepared: &Prepared) -> Result<(), PublishError> {
        let Self { context, job, .. } = self;
        let taken = prepared.taken;
        let manifest = self.commit(prepared).await?;
        context.metrics.published(taken.elapsed(), now_us());
        let decision = self.finalize(&manifest, prepared).await?;
        context.outbox.remove(manifest.id);
        tracing::info!(
            %job, checkpoint = %manifest.id, epoch = manifest.lineage.epoch,
            sequence = decision.sequence, milliseconds = taken.elapsed().as_secs_f64() * 1e3,
            "checkpoint published"
        );
        promotion_log::report(&context.metrics, *job, &manifest, &decision);
        Ok(())
    }

    /// Keeps a checkpoint in the outbox, where it is not yet durable.
    pub(super) async fn keep(&self, prepared: &Prepared) {
        let kept = prepared.durable.get_or_try_init(|| async {
            let draft = prepared.draft.clone();
            self.context.outbox.keep(draft).await?;
            self.watermark.add_checkpoint();
            Ok::<(), StorageError>(())
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "a checkpoint that waits for the storage cannot be kept in the state folder; a crash costs the training since the last bundle before it");
        }
    }

    /// Writes the files and the manifest. While the storage fails, the checkpoint is in the outbox.
    async fn commit(&self, prepared: &Prepared) -> Result<Manifest, PublishError> {
        let Self {
            context, running, ..
        } = self;
        let draft = &prepared.draft;
        let log = StoreIntentLog(context.store.clone());
        let commit = || async {
            let committing = publication::commit(&context.storage, &log, draft.clone());
            let committed = self.unless_stopped(committing).await;
            if committed.as_ref().is_err_and(WriteError::may_pass) {
                self.keep(prepared).await;
            }
            committed
        };
        let outages = self.outages(draft.manifest.lineage.epoch);
        let committed = outages.outlast(commit).await;
        if committed.is_err() && running.stop_reason() != Some(StopReason::Shutdown) {
            // The job ends without it.
            context.outbox.remove(draft.manifest.id);
        }
        committed
    }

    /// Applies the job's promotion policy to a committed checkpoint.
    async fn finalize(
        &self,
        manifest: &Manifest,
        prepared: &Prepared,
    ) -> Result<Decision, PublishError> {
        let Self {
            context,
            job,
            rules,
            ..
        } = self;
        let log = StoreIntentLog(context.store.clone());
        let by = author(*job);
        let finalize = || async {
            let finalizing = publication::finalize(&context.storage, &log, manifest, *rules, &by);
            let finalized = self.unless_stopped(finalizing).await;
            // Whatever comes of it: the next start finds the manifest on the storage.
            let committed = async { self.watermark.add_checkpoint() };
            prepared.durable.get_or_init(|| committed).await;
            finalized
        };
        let outages = self.outages(manifest.lineage.epoch);
        match outages.outlast(finalize).await? {
            Outcome::Completed(decision) => Ok(decision),
            Outcome::Abandoned => Err(StorageError::Tombstoned { id: manifest.id }.into()),
        }
    }

    fn outages(&self, epoch: u32) -> Outages<'_> {
        let Self { context, .. } = self;
        Outages::new(
            self.job,
            &self.running,
            Some(&context.store),
            context.max_outage,
        )
        .for_checkpoint(epoch)
    }

    /// Drops an attempt that a storage leaves without an answer for a while after the job was
    /// stopped. Counts its failures.
    async fn unless_stopped<T>(
        &self,
        attempt: impl Future<Output = Result<T, PublishError>>,
    ) -> Result<T, PublishError> {
        let stopped = async {
            self.running.stopped().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        let ended = tokio::select! {
            ended = attempt => ended,
            () = stopped => Err(PublishError::Interrupted),
        };
        if let Err(PublishError::Storage(_)) = &ended {
            self.context.metrics.publish_failed();
        }
        ended
    }
}

/// Computes on a thread on which no task runs. A panic continues in the caller.
pub(super) async fn on_blocking_thread<T: Send + 'static>(
    compute: impl FnOnce() -> T + Send + 'static,
) -> T {
    let computed = spawn_blocking(compute).await;
    computed.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
