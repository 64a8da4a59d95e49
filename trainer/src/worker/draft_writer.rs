//! Puts the checkpoints of a training on the storage as drafts of its attempt, in order; the
//! trainer publishes them.

use super::{
    attempt_output::AttemptOutput,
    error::{JobError, PublishError},
    job_run::JobRun,
    pending_checkpoint::PendingCheckpoint,
    publisher::on_blocking_thread,
    sink::Sink,
    watermark::DurabilityWatermark,
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Checkpoints that may wait for the storage before the training waits for them.
const MAX_WAITING_CHECKPOINTS: usize = 1;

/// Puts the drafts of a job.
pub(super) struct DraftWriter {
    run: Arc<JobRun>,
    reports: Arc<AttemptOutput>,
    watermark: DurabilityWatermark,
}

impl DraftWriter {
    pub(super) fn start(
        run: &Arc<JobRun>,
        reports: &Arc<AttemptOutput>,
        watermark: DurabilityWatermark,
    ) -> Sink<PendingCheckpoint> {
        let writer = Self {
            run: Arc::clone(run),
            reports: Arc::clone(reports),
            watermark,
        };
        let runtime = &run.services.runtime;
        Sink::start(runtime, MAX_WAITING_CHECKPOINTS, |pending| {
            writer.write_all(pending)
        })
    }

    async fn write_all(
        self,
        mut pending: mpsc::Receiver<PendingCheckpoint>,
    ) -> Result<(), JobError> {
        while let Some(checkpoint) = pending.recv().await {
            let epoch = checkpoint.snapshot.epoch;
            let written = self.write(checkpoint).await;
            written.map_err(|source| JobError::Publish { epoch, source })?;
            self.watermark.add_checkpoint();
        }
        Ok(())
    }

    async fn write(&self, checkpoint: PendingCheckpoint) -> Result<(), PublishError> {
        let epoch = checkpoint.snapshot.epoch;
        let weights = on_blocking_thread(|| checkpoint.encode()).await;
        let sha256 = weights.sha256.clone();
        let run = Arc::clone(&self.run);
        let draft = on_blocking_thread(move || weights.draft(&run)).await?;
        let outages = self.run.outages().for_checkpoint(epoch);
        let put = self
            .reports
            .put_draft(&self.run.running, &outages, &draft, sha256);
        put.await
    }
}
