//! Shows a running job in the metrics: its newest row, the calibration of its newest checkpoint,
//! and the images that it was trained on.

use crate::{
    attempt::TrainingFacts,
    job::{CurveRow, now_us},
    metrics::{AttemptFrom, Gauge, JobSeries, Metrics},
    store::Job,
};
use digits_checkpoint::manifest::TemperatureFit;
use std::time::Duration;

/// Counts the images that a job was trained on.
#[derive(Default)]
pub(super) struct SampleCounter {
    batch_size: u64,
    train_images: u64,
    steps_per_epoch: u64,
    /// Step up to which samples are counted.
    counted: u64,
}

impl SampleCounter {
    /// Counts from the start of a training.
    pub(super) fn new(batch_size: u64, facts: &TrainingFacts) -> Self {
        Self {
            batch_size,
            train_images: facts.train_images,
            steps_per_epoch: facts.steps_per_epoch.max(1),
            counted: facts.steps_done,
        }
    }

    /// Counts the images of all steps up to `step`.
    pub(super) fn count(&mut self, step: u64, metrics: &Metrics) {
        if self.steps_per_epoch == 0 {
            return;
        }
        let images = self.images(step).saturating_sub(self.images(self.counted));
        metrics.samples(images);
        self.counted = step;
    }

    /// The same, if the step ends an epoch.
    pub(super) fn count_epoch(&mut self, step: u64, metrics: &Metrics) {
        if self.steps_per_epoch > 0 && step.is_multiple_of(self.steps_per_epoch) {
            self.count(step, metrics);
        }
    }

    /// Images of all steps up to `step`; the last batch of an epoch may be short.
    fn images(&self, step: u64) -> u64 {
        let (epochs, rest) = (step / self.steps_per_epoch, step % self.steps_per_epoch);
        epochs * self.train_images + rest * self.batch_size
    }
}

/// Counts an attempt, and shows how many steps its job has.
pub(super) fn show_start(facts: &TrainingFacts, series: &JobSeries, metrics: &Metrics) {
    series.set(Gauge::Steps, facts.steps as f64);
    metrics.attempt(match facts.steps_done {
        0 => AttemptFrom::Start,
        _ => AttemptFrom::Bundle,
    });
}

/// Shows how long a job has waited whose training begins for the first time.
pub(super) fn show_queued(job: &Job, metrics: &Metrics) {
    if job.device.is_empty() {
        let waited = now_us().saturating_sub(job.created_us);
        let waited = u64::try_from(waited).unwrap_or_default();
        metrics.attempts.queued(Duration::from_micros(waited));
    }
}

/// Shows the newest row of the curves.
pub(super) fn show_row(row: &CurveRow, series: &JobSeries) {
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
        series.set(gauge, value);
    }
}

/// Shows the calibration of the newest checkpoint.
pub(super) fn show_calibration(temperature: f64, calibration: &TemperatureFit, series: &JobSeries) {
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
            series.set(gauge, value);
        }
    }
}
