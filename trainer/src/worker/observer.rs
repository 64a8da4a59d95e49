//! Receives what the training produces, on the training's thread: metrics are set at once,
//! everything else goes into the job's [`Sinks`].

use super::{
    bundle_writer::PendingBundle,
    error::JobError,
    job_run::JobRun,
    pending_checkpoint::{PendingCheckpoint, TrainingRecord},
    running::StopReason,
    sinks::Sinks,
    watermark::OutputCount,
};
use crate::{
    job::{CurveRow, now_us},
    metrics::{AttemptFrom, Gauge, JobSeries},
    train::{Bundle, BundlePoint, Observer, PublishFailed, Row, Snapshot, Started},
};
use digits_checkpoint::manifest::TemperatureFit;
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
    /// Images per step and per epoch, to count samples.
    batch_size: u64,
    train_images: u64,
    steps_per_epoch: u64,
    /// Step up to which samples are counted.
    counted: u64,
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
            batch_size: run.plan.train.batch_size as u64,
            train_images: 0,
            steps_per_epoch: 1,
            counted: 0,
            recording_failed: false,
        }
    }

    /// Waits until all output is durable.
    pub(super) fn close(self) -> Result<(), JobError> {
        self.run.context.runtime.block_on(self.sinks.close())
    }

    /// Images of all steps up to `step`; the last batch of an epoch may be short.
    fn images(&self, step: u64) -> u64 {
        let (epochs, rest) = (step / self.steps_per_epoch, step % self.steps_per_epoch);
        epochs * self.train_images + rest * self.batch_size
    }

    fn count_samples(&mut self, step: u64) {
        let images = self.images(step).saturating_sub(self.images(self.counted));
        self.run.context.metrics.samples(images);
        self.counted = step;
    }

    fn show_calibration(&self, temperature: f64, calibration: &TemperatureFit) {
        for (gauge, value) in [
            (Gauge::Temperature, Some(temperature)),
            (
                Gauge::CalibrationErrorBefore,
                Some(calibration.error_before),
            ),
            (Gauge::CalibrationError, Some(calibration.error)),
            (Gauge::TestLossCalibrated, calibration.test_loss),
        ] {
            if let Some(value) = value {
                self.series.set(gauge, value);
            }
        }
    }
}

impl Observer for JobObserver<'_> {
    fn started(&mut self, started: &Started) {
        self.train_images = started.train_images as u64;
        self.steps_per_epoch = started.steps_per_epoch.max(1);
        self.counted = started.steps_done;
        self.run.running.set_step(started.steps_done);
        self.series.set(Gauge::Steps, started.steps as f64);
        self.record = Some(TrainingRecord::from(started));
        let from = if started.steps_done == 0 {
            AttemptFrom::Start
        } else {
            AttemptFrom::Bundle
        };
        self.run.context.metrics.attempt(from);
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
        self.count_samples(row.step);
        for (gauge, value) in [
            (Gauge::TrainLoss, row.train_loss),
            (Gauge::ValidationLoss, row.validation.loss),
            (
                Gauge::ValidationLossBatchMean,
                row.validation.loss_batch_mean,
            ),
            (Gauge::ValidationAccuracy, row.validation.accuracy()),
            (Gauge::Epoch, f64::from(row.epoch)),
            (Gauge::LearningRate, row.learning_rate),
            (Gauge::SamplesPerSecond, row.samples_per_second),
        ] {
            self.series.set(gauge, value);
        }
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
        self.output.rows += 1;
        self.recording_failed |= self.sinks.rows.put(row).is_err();
    }

    fn progress(&mut self, step: u64) {
        self.run.running.set_step(step);
        self.series.set(Gauge::Step, step as f64);
        if step.is_multiple_of(self.steps_per_epoch) {
            self.count_samples(step);
        }
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), PublishFailed> {
        if let Some(calibration) = &snapshot.calibration {
            self.show_calibration(snapshot.temperature, calibration);
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
