//! Receives what the training produces, on the training's thread: metrics are set at once,
//! everything else goes into the job's [`Sinks`].

use super::{
    bundle_writer::PendingBundle,
    error::JobError,
    job_run::JobRun,
    pending_checkpoint::{PendingCheckpoint, TrainingRecord},
    progress::{self, SampleCounter},
    running::StopReason,
    sinks::Sinks,
    watermark::OutputCount,
};
use crate::{
    attempt::TrainingFacts,
    job::{CurveRow, now_us},
    metrics::{Gauge, JobSeries},
    train::{Bundle, BundlePoint, Observer, PublishFailed, Row, Snapshot, Started},
};
use std::{sync::Arc, time::Instant};

/// The observer of one job.
pub(super) struct JobObserver<'a> {
    run: &'a Arc<JobRun>,
    series: &'a JobSeries,
    sinks: Sinks,
    /// Rows and checkpoints so far.
    output: OutputCount,
    /// Set when the training starts.
    record: Option<TrainingRecord>,
    samples: SampleCounter,
    /// Rows can no longer be written; `close` returns the reason.
    recording_failed: bool,
}

impl<'a> JobObserver<'a> {
    pub(super) fn new(run: &'a Arc<JobRun>, series: &'a JobSeries) -> Self {
        Self {
            run,
            series,
            sinks: Sinks::start(run),
            output: OutputCount::default(),
            record: None,
            samples: SampleCounter::default(),
            recording_failed: false,
        }
    }

    /// Waits until all output is durable.
    pub(super) fn close(self) -> Result<(), JobError> {
        self.run.services.runtime.block_on(self.sinks.close())
    }
}

impl Observer for JobObserver<'_> {
    fn started(&mut self, started: &Started) {
        let run = self.run;
        let facts = TrainingFacts {
            steps: started.steps,
            steps_per_epoch: started.steps_per_epoch,
            train_images: started.train_images as u64,
            steps_done: started.steps_done,
        };
        self.samples = SampleCounter::new(run.plan.train.batch_size as u64, &facts);
        run.running.set_step(started.steps_done);
        self.record = Some(TrainingRecord::from(started));
        progress::show_start(&facts, self.series, &run.services.metrics);
        run.services
            .runtime
            .block_on(run.output.started(&run.running, &run.outages(), facts));
        tracing::info!(
            job = %self.run.job,
            steps = started.steps,
            train_images = started.train_images,
            validation_images = started.validation_images,
            threads = started.threads,
            from_step = started.steps_done,
            "training starts"
        );
    }

    fn row(&mut self, row: &Row) {
        self.samples.count(row.step, &self.run.services.metrics);
        let row = CurveRow {
            at_us: now_us(),
            step: row.step,
            epoch: row.epoch,
            step_in_epoch: u32::try_from(row.step_in_epoch).unwrap_or(u32::MAX),
            train_loss: row.train_loss,
            validation: row.validation,
            learning_rate: row.learning_rate,
            samples_per_second: row.samples_per_second,
        };
        progress::show_row(&row, self.series);
        self.output.rows += 1;
        self.recording_failed |= self.sinks.rows.put(row).is_err();
    }

    fn progress(&mut self, step: u64) {
        self.run.running.set_step(step);
        self.series.set(Gauge::Step, step as f64);
        self.samples.count_epoch(step, &self.run.services.metrics);
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), PublishFailed> {
        if let Some(calibration) = &snapshot.calibration {
            progress::show_calibration(snapshot.temperature, calibration, self.series);
        }
        let record = self.record.clone();
        let queued = self.sinks.checkpoints.put(PendingCheckpoint {
            snapshot,
            record: record.expect("the training has started before its first snapshot"),
            taken: Instant::now(),
        });
        self.output.checkpoints += 1;
        queued.map_err(|closed| PublishFailed {
            message: closed.to_string(),
        })
    }

    fn should_stop(&self) -> bool {
        self.recording_failed || self.run.running.should_stop()
    }

    fn wants_bundle(&self, point: BundlePoint) -> bool {
        match point {
            BundlePoint::Step => self.sinks.bundles.is_due(),
            BundlePoint::Epoch => self.sinks.bundles.is_due_after_epoch(),
            // A job that ends here is not resumed.
            BundlePoint::Stop => self.run.running.stop_reason() == Some(StopReason::Shutdown),
        }
    }

    fn bundle(&mut self, bundle: Bundle) {
        self.sinks.bundles.write(PendingBundle {
            bundle,
            after: self.output,
        });
    }
}
