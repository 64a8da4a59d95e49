//! Writes the rows of a job's curves into the database in batches, and pushes the new ones to
//! Prometheus.

use super::{
    error::JobError, job_run::JobRun, outage::Outages, sink::Sink, watermark::DurabilityWatermark,
};
use crate::job::CurveRow;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Rows that may wait for the database before the training waits for them.
const MAX_WAITING_ROWS: usize = 4_096;
/// Rows that share a transaction.
const MAX_BATCH_ROWS: usize = 256;

/// Writes rows: one commit holds all that came while the one before was under way.
pub(super) struct CurveWriter {
    run: Arc<JobRun>,
    watermark: DurabilityWatermark,
}

impl CurveWriter {
    pub(super) fn start(run: &Arc<JobRun>, watermark: DurabilityWatermark) -> Sink<CurveRow> {
        let run = Arc::clone(run);
        let runtime = run.context.runtime.clone();
        let writer = Self { run, watermark };
        Sink::start(&runtime, MAX_WAITING_ROWS, |rows| writer.write_all(rows))
    }

    async fn write_all(self, mut rows: mpsc::Receiver<CurveRow>) -> Result<(), JobError> {
        let JobRun {
            context,
            job,
            name,
            running,
            ..
        } = &*self.run;
        let mut curve = context.remote_write.curve(*job, name);
        let outages = Outages::of(&self.run);
        let mut batch = Vec::new();
        while rows.recv_many(&mut batch, MAX_BATCH_ROWS).await > 0 {
            let count = batch.len();
            let rows = std::mem::take(&mut batch);
            let write = || {
                context
                    .store
                    .append_rows(*job, rows.clone(), running.spent())
            };
            let new = outages.outlast(write).await?;
            self.watermark.add_rows(count);
            // Rows that an earlier attempt recorded were pushed then.
            curve.rows(&new);
        }
        Ok(())
    }
}
