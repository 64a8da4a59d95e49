//! The bounded queues through which a job's rows, checkpoints and bundles leave the training's
//! thread.

use super::{
    bundle_writer::BundleWriter, curve_writer::CurveWriter, draft_writer::DraftWriter,
    error::JobError, job_run::JobRun, output::Output, pending_checkpoint::PendingCheckpoint,
    publish_queue::PublishQueue, sink::Sink, watermark::DurabilityWatermark,
};
use crate::job::{CurveRow, JobId};
use std::sync::Arc;

/// The queues of one job.
pub(super) struct Sinks {
    job: JobId,
    pub(super) rows: Sink<CurveRow>,
    pub(super) checkpoints: Sink<PendingCheckpoint>,
    pub(super) bundles: BundleWriter,
}

impl Sinks {
    /// Starts the tasks behind the queues.
    pub(super) fn start(run: &Arc<JobRun>) -> Self {
        let (watermark, reader) = DurabilityWatermark::new();
        Self {
            job: run.job,
            rows: CurveWriter::start(run, watermark.clone()),
            checkpoints: match &run.output {
                Output::Trainer(trainer) => PublishQueue::start(run, trainer, watermark),
                Output::Reports(reports) => DraftWriter::start(run, reports, watermark),
            },
            bundles: BundleWriter::start(run, reader),
        }
    }

    /// Waits until every row is in the database, every checkpoint is committed and the last bundle
    /// is written. Returns the first error and logs the other.
    pub(super) async fn close(self) -> Result<(), JobError> {
        let published = self.checkpoints.close().await;
        let recorded = self.rows.close().await;
        self.bundles.close().await;
        match (published, recorded) {
            (Err(first), Err(second)) => {
                second.log_lost_output(self.job);
                Err(first)
            }
            (published, recorded) => published.and(recorded),
        }
    }
}
