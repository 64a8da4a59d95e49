//! Writes the rows of a job's curves in batches, and pushes those that are new in the database to
//! Prometheus.

use super::{
    error::JobError, job_run::JobRun, output::Output, sink::Sink, watermark::DurabilityWatermark,
};
use crate::{attempt::Report, job::CurveRow};
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
        let runtime = run.services.runtime.clone();
        let writer = Self { run, watermark };
        Sink::start(&runtime, MAX_WAITING_ROWS, |rows| writer.write_all(rows))
    }

    async fn write_all(self, mut rows: mpsc::Receiver<CurveRow>) -> Result<(), JobError> {
        let run = &*self.run;
        let mut curve = match &run.output {
            Output::Trainer(trainer) => Some(trainer.context.curve(run.job, &run.name).await?),
            Output::Reports(_) => None,
        };
        let mut batch = Vec::new();
        while rows.recv_many(&mut batch, MAX_BATCH_ROWS).await > 0 {
            let count = batch.len();
            let new = append(run, std::mem::take(&mut batch)).await?;
            self.watermark.add_rows(count);
            // Rows that an earlier attempt recorded were pushed then.
            if let Some(curve) = &mut curve {
                curve.rows(&new);
            }
        }
        Ok(())
    }
}

/// Writes a batch. Returns the rows that are new in the database.
async fn append(run: &JobRun, rows: Vec<CurveRow>) -> Result<Vec<CurveRow>, JobError> {
    let outages = run.outages();
    match &run.output {
        Output::Trainer(trainer) => {
            let store = &trainer.context.store;
            let write = || {
                let spent = run.running.spent();
                store.append_rows(run.job, rows.clone(), spent)
            };
            Ok(outages.outlast(write).await?)
        }
        Output::Reports(reports) => {
            let report = Report::Rows(rows);
            reports.report(&run.running, &outages, report).await?;
            Ok(Vec::new())
        }
    }
}
