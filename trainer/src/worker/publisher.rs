//! Publishes a job's checkpoints in order and promotes them by the job's policy: one task per job.
//!
//! The id of a checkpoint is in the database before its first byte is on the storage. While the
//! storage fails, the checkpoint is kept in the [`Outbox`](super::Outbox) and the job waits, for as
//! long as the operator allows.

use super::{
    error::{JobError, PublishError},
    intent_log::{StoreIntentLog, author},
    job_run::JobRun,
    outage::{Outages, WriteError},
    pending_checkpoint::PendingCheckpoint,
    promotion_log,
    running::StopReason,
    sink::Sink,
    watermark::DurabilityWatermark,
};
use crate::{
    job::now_us,
    store::{CheckpointIntent, IntentState},
};
use digits_checkpoint::{
    Draft, StorageError,
    manifest::Manifest,
    publication::{self, Outcome},
    serving::Decision,
};
use std::{
    collections::VecDeque,
    panic::resume_unwind,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{OnceCell, mpsc},
    task::spawn_blocking,
};

/// Checkpoints that may wait for the storage before the training waits for them.
const MAX_WAITING_CHECKPOINTS: usize = 1;
/// Checkpoints that may be kept while the storage fails before the training waits for it, and the
/// bytes of their weights.
const MAX_BACKLOG: usize = 64;
const MAX_BACKLOG_BYTES: usize = 256 << 20;
/// Time that an attempt has after the job was stopped.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Publishes checkpoints, one after another.
pub(super) struct Publisher {
    run: Arc<JobRun>,
    watermark: DurabilityWatermark,
}

/// A checkpoint whose intent is in the database.
struct Prepared {
    draft: Draft,
    /// When the training handed the weights out.
    taken: Instant,
    /// Set once the checkpoint outlasts a crash of the process, so that resume bundles may follow it.
    durable: OnceCell<()>,
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
            publisher.run(pending)
        })
    }

    async fn run(self, pending: mpsc::Receiver<PendingCheckpoint>) -> Result<(), JobError> {
        let mut backlog = VecDeque::new();
        let published = self.publish_all(pending, &mut backlog).await;
        if self.run.running.stop_reason() != Some(StopReason::Shutdown) {
            // The job ends without them.
            for left in backlog {
                self.run.context.outbox.remove(left.draft.manifest.id);
            }
        }
        published
    }

    /// Publishes what comes, in its order. While the storage fails, what comes is kept behind the
    /// checkpoint that waits, so that the training continues.
    async fn publish_all(
        &self,
        mut pending: mpsc::Receiver<PendingCheckpoint>,
        backlog: &mut VecDeque<Prepared>,
    ) -> Result<(), JobError> {
        loop {
            if backlog.is_empty() {
                let Some(checkpoint) = pending.recv().await else {
                    return Ok(());
                };
                backlog.extend(self.prepare(checkpoint).await?);
            }
            let Some(next) = backlog.pop_front() else {
                continue;
            };
            let epoch = next.draft.manifest.lineage.epoch;
            let mut publishing = pin!(self.publish(&next));
            let published = loop {
                tokio::select! {
                    published = &mut publishing => break published,
                    Some(checkpoint) = self.next_in_outage(&mut pending), if has_room(backlog) => {
                        if let Some(prepared) = self.prepare(checkpoint).await? {
                            self.keep(&prepared).await;
                            backlog.push_back(prepared);
                        }
                    }
                }
            };
            published.map_err(|source| JobError::Publish { epoch, source })?;
        }
    }

    /// The next checkpoint, once the storage fails for the one before it.
    async fn next_in_outage(
        &self,
        pending: &mut mpsc::Receiver<PendingCheckpoint>,
    ) -> Option<PendingCheckpoint> {
        self.run.running.outage_begins().await;
        pending.recv().await
    }

    /// Makes the files of a checkpoint and records its intent. One that an earlier attempt has
    /// committed costs neither a report card nor a second publication.
    async fn prepare(&self, checkpoint: PendingCheckpoint) -> Result<Option<Prepared>, JobError> {
        let epoch = checkpoint.snapshot.epoch;
        let prepared = self.draft(checkpoint).await;
        prepared.map_err(|source| JobError::Publish { epoch, source })
    }

    async fn draft(&self, checkpoint: PendingCheckpoint) -> Result<Option<Prepared>, PublishError> {
        let JobRun {
            context,
            job,
            rules,
            ..
        } = &*self.run;
        let (job, taken) = (*job, checkpoint.taken);
        let (epoch, step) = (checkpoint.snapshot.epoch, checkpoint.snapshot.step);
        let weights = on_blocking_thread(|| checkpoint.encode()).await;
        let weights_sha256 = weights.sha256.clone();
        let outages = Outages::of_checkpoint(&self.run, epoch);
        let find = || {
            let digest = weights_sha256.clone();
            context.store.committed_before(job, epoch, digest)
        };
        if let Some(earlier) = outages.outlast(find).await? {
            tracing::info!(%job, checkpoint = %earlier, epoch, "an earlier attempt has published this checkpoint");
            self.watermark.add_checkpoint();
            return Ok(None);
        }
        let run = Arc::clone(&self.run);
        let draft = on_blocking_thread(move || weights.draft(&run)).await?;
        let intent = CheckpointIntent {
            id: draft.manifest.id,
            job,
            epoch,
            step,
            promotion: rules.policy,
            scope: rules.scope,
            weights_sha256,
            state: IntentState::Planned,
            serving_sequence: 0,
        };
        let plan = || context.store.plan_checkpoint(intent.clone());
        outages.outlast(plan).await?;
        Ok(Some(Prepared {
            draft,
            taken,
            durable: OnceCell::new(),
        }))
    }

    /// Files, manifest, promotion: each step is durable before the next begins.
    async fn publish(&self, prepared: &Prepared) -> Result<(), PublishError> {
        let JobRun { context, job, .. } = &*self.run;
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
    async fn keep(&self, prepared: &Prepared) {
        let kept = prepared.durable.get_or_try_init(|| async {
            let draft = prepared.draft.clone();
            self.run.context.outbox.keep(draft).await?;
            self.watermark.add_checkpoint();
            Ok::<(), StorageError>(())
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "a checkpoint that waits for the storage cannot be kept in the state folder; a crash costs the training since the last bundle before it");
        }
    }

    /// Writes the files and the manifest. While the storage fails, the checkpoint is in the outbox.
    async fn commit(&self, prepared: &Prepared) -> Result<Manifest, PublishError> {
        let JobRun {
            context, running, ..
        } = &*self.run;
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
        let outages = Outages::of_checkpoint(&self.run, draft.manifest.lineage.epoch);
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
        let JobRun {
            context,
            job,
            rules,
            ..
        } = &*self.run;
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
        let outages = Outages::of_checkpoint(&self.run, manifest.lineage.epoch);
        match outages.outlast(finalize).await? {
            Outcome::Completed(decision) => Ok(decision),
            Outcome::Abandoned => Err(StorageError::Tombstoned { id: manifest.id }.into()),
        }
    }

    /// Drops an attempt that a storage leaves without an answer for a while after the job was
    /// stopped. Counts its failures.
    async fn unless_stopped<T>(
        &self,
        attempt: impl Future<Output = Result<T, PublishError>>,
    ) -> Result<T, PublishError> {
        let stopped = async {
            self.run.running.stopped().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        let ended = tokio::select! {
            ended = attempt => ended,
            () = stopped => Err(PublishError::Interrupted),
        };
        if let Err(PublishError::Storage(_)) = &ended {
            self.run.context.metrics.publish_failed();
        }
        ended
    }
}

/// Whether another checkpoint may be kept.
fn has_room(backlog: &VecDeque<Prepared>) -> bool {
    let bytes: usize = backlog.iter().map(|it| it.draft.model.len()).sum();
    backlog.len() < MAX_BACKLOG && bytes < MAX_BACKLOG_BYTES
}

/// Computes on a thread on which no task runs. A panic continues in the caller.
async fn on_blocking_thread<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> T {
    let computed = spawn_blocking(compute).await;
    computed.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
