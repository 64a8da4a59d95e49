//! The checkpoints of a training on their way to the storage: published in order, by one task per
//! job. While the storage fails, what comes is kept behind the checkpoint that waits, so that the
//! training continues.

use super::{
    error::{JobError, PublishError},
    job_run::JobRun,
    output::TrainerOutput,
    pending_checkpoint::PendingCheckpoint,
    publisher::{PlannedCheckpoint, Prepared, Publisher, on_blocking_thread},
    running::StopReason,
    sink::Sink,
    watermark::DurabilityWatermark,
};
use digits_checkpoint::serving::PromotionRules;
use std::{collections::VecDeque, pin::pin, sync::Arc};
use tokio::sync::mpsc;

/// Checkpoints that may wait for the storage before the training waits for them.
const MAX_WAITING_CHECKPOINTS: usize = 1;
/// Checkpoints that may be kept while the storage fails before the training waits for it, and the
/// bytes of their weights.
const MAX_BACKLOG: usize = 64;
const MAX_BACKLOG_BYTES: usize = 256 << 20;

/// Publishes the checkpoints of a training, one after another.
pub(super) struct PublishQueue {
    run: Arc<JobRun>,
    publisher: Publisher,
}

impl PublishQueue {
    pub(super) fn start(
        run: &Arc<JobRun>,
        trainer: &TrainerOutput,
        watermark: DurabilityWatermark,
    ) -> Sink<PendingCheckpoint> {
        let TrainerOutput { context, scope } = trainer.clone();
        let runtime = context.runtime.clone();
        let rules = PromotionRules {
            policy: run.plan.promotion,
            scope,
            guard: context.promotion_guard,
        };
        let queue = Self {
            publisher: Publisher {
                context,
                job: run.job,
                rules,
                running: Arc::clone(&run.running),
                watermark,
            },
            run: Arc::clone(run),
        };
        Sink::start(&runtime, MAX_WAITING_CHECKPOINTS, |pending| {
            queue.run(pending)
        })
    }

    async fn run(self, pending: mpsc::Receiver<PendingCheckpoint>) -> Result<(), JobError> {
        let mut backlog = VecDeque::new();
        let published = self.publish_all(pending, &mut backlog).await;
        if self.run.running.stop_reason() != Some(StopReason::Shutdown) {
            // The job ends without them.
            for left in backlog {
                self.publisher.context.outbox.remove(left.draft.manifest.id);
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
            let mut publishing = pin!(self.publisher.publish(&next));
            let published = loop {
                tokio::select! {
                    published = &mut publishing => break published,
                    Some(checkpoint) = self.next_in_outage(&mut pending), if has_room(backlog) => {
                        if let Some(prepared) = self.prepare(checkpoint).await? {
                            self.publisher.keep(&prepared).await;
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
        let (taken, epoch) = (checkpoint.taken, checkpoint.snapshot.epoch);
        let step = checkpoint.snapshot.step;
        let weights = on_blocking_thread(|| checkpoint.encode()).await;
        let planned = PlannedCheckpoint {
            epoch,
            step,
            taken,
            weights_sha256: weights.sha256.clone(),
        };
        let run = Arc::clone(&self.run);
        let draft = on_blocking_thread(move || weights.draft(&run));
        self.publisher.plan(planned, draft).await
    }
}

/// Whether another checkpoint may be kept.
fn has_room(backlog: &VecDeque<Prepared>) -> bool {
    let bytes: usize = backlog.iter().map(|it| it.draft.model.len()).sum();
    backlog.len() < MAX_BACKLOG && bytes < MAX_BACKLOG_BYTES
}
