//! What the training tells, on its thread: into metrics at once, into the database and the storage through
//! bounded channels to other threads.

use super::{
    durable::Durable,
    keeper::{Keeper, Parcel},
    publisher::Publisher,
    running::{RunningJob, Stop},
};
use crate::{
    job::{CurveRow, now_us},
    metrics::{Beginning, Gauge, JobSeries, Metrics},
    remote_write::Curve,
    spec::JobPlan,
    store::{Store, StoreError},
    train::{Bundle, BundlePoint, Observer, PublishFailed, Row, Snapshot, Started},
};
use digits_checkpoint::manifest::TemperatureFit;
use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// Rows that may wait for the database before the training waits for them.
const ROWS_AT_MOST: usize = 4_096;
/// Rows that share a transaction.
const BATCH_AT_MOST: usize = 256;

/// Writes a job's rows on a thread of its own.
pub(super) struct Recorder {
    rows: SyncSender<CurveRow>,
    thread: thread::JoinHandle<Result<(), StoreError>>,
}

/// Where a job's rows go, and who hears of it.
pub(super) struct Recording {
    pub(super) store: Store,
    pub(super) curve: Curve,
    pub(super) running: Arc<RunningJob>,
    pub(super) durable: Arc<Durable>,
}

impl Recorder {
    pub(super) fn start(recording: Recording) -> io::Result<Self> {
        let (rows, receiver) = sync_channel(ROWS_AT_MOST);
        let thread = thread::Builder::new()
            .name("rows".to_owned())
            .spawn(move || recording.record(&receiver))?;
        Ok(Self { rows, thread })
    }
}

impl Recording {
    /// One commit carries all rows that came while the one before was under way.
    fn record(&self, rows: &Receiver<CurveRow>) -> Result<(), StoreError> {
        while let Ok(first) = rows.recv() {
            let mut batch = vec![first];
            batch.extend(rows.try_iter().take(BATCH_AT_MOST - 1));
            let count = batch.len();
            let new = self
                .store
                .append_rows(self.curve.job(), batch, self.running.spent())?;
            self.durable.rows(count);
            // What an earlier attempt recorded was pushed then.
            self.curve.rows(&new);
        }
        Ok(())
    }
}

/// Where what the training tells leaves its thread.
pub(super) struct Outlets {
    pub(super) recorder: Recorder,
    pub(super) publisher: Publisher,
    pub(super) keeper: Keeper,
    /// What the three know of each other.
    pub(super) durable: Arc<Durable>,
}

/// The observer of one job.
pub(super) struct JobObserver<'a> {
    running: &'a RunningJob,
    series: &'a JobSeries,
    metrics: &'a Metrics,
    outlets: Outlets,
    /// Rows and snapshots told.
    rows: u64,
    snapshots: u64,
    /// Images per step and per epoch, to count samples.
    batch_size: u64,
    train_images: u64,
    steps_per_epoch: u64,
    /// Steps whose samples were counted.
    counted: u64,
    /// The database refused rows: nothing is recorded any longer.
    recording_failed: bool,
}

impl<'a> JobObserver<'a> {
    pub(super) fn new(
        running: &'a RunningJob,
        series: &'a JobSeries,
        metrics: &'a Metrics,
        outlets: Outlets,
        plan: &JobPlan,
    ) -> Self {
        Self {
            running,
            series,
            metrics,
            outlets,
            rows: 0,
            snapshots: 0,
            batch_size: plan.train.batch_size as u64,
            train_images: 0,
            steps_per_epoch: 1,
            counted: 0,
            recording_failed: false,
        }
    }

    /// Waits until every row is in the database, every checkpoint is committed and the last bundle is written.
    ///
    /// Fails with a reason for the client.
    pub(super) fn close(self) -> Result<(), String> {
        let Outlets {
            recorder: Recorder { rows, thread },
            mut publisher,
            keeper,
            durable,
        } = self.outlets;
        let published = publisher.close();
        drop(rows);
        let recorded = thread.join();
        durable.over();
        keeper.close();
        published?;
        match recorded {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::error!(%error, "rows could not be recorded");
                Err(error.told())
            }
            Err(_) => Err("an internal error; the trainer's log has more".to_owned()),
        }
    }

    /// Images of all steps up to `step`; the last batch of an epoch may be short.
    fn images(&self, step: u64) -> u64 {
        let (epochs, rest) = (step / self.steps_per_epoch, step % self.steps_per_epoch);
        epochs * self.train_images + rest * self.batch_size
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

    fn count_samples(&mut self, step: u64) {
        let images = self.images(step).saturating_sub(self.images(self.counted));
        self.metrics.samples(images);
        self.counted = step;
    }
}

impl Observer for JobObserver<'_> {
    fn started(&mut self, started: &Started) {
        self.train_images = started.train_images as u64;
        self.steps_per_epoch = started.steps_per_epoch.max(1);
        self.counted = started.steps_done;
        self.running.set_step(started.steps_done);
        self.series.set(Gauge::Steps, started.steps as f64);
        self.outlets.publisher.divided(started);
        let from = if started.steps_done == 0 {
            Beginning::Start
        } else {
            Beginning::Bundle
        };
        self.metrics.attempt(from);
        tracing::info!(
            steps = started.steps,
            train_images = started.train_images,
            validation_images = started.validation_images,
            threads = started.threads,
            from_step = started.steps_done,
            "training begins"
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
        self.rows += 1;
        // The thread is gone when the database failed; `close` tells why.
        self.recording_failed |= self.outlets.recorder.rows.send(row).is_err();
    }

    fn progress(&mut self, step: u64) {
        self.running.set_step(step);
        self.series.set(Gauge::Step, step as f64);
        if step.is_multiple_of(self.steps_per_epoch) {
            self.count_samples(step);
        }
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), PublishFailed> {
        if let Some(calibration) = &snapshot.calibration {
            self.show_calibration(snapshot.temperature, calibration);
        }
        self.snapshots += 1;
        self.outlets.publisher.take(snapshot)
    }

    fn should_stop(&self) -> bool {
        self.recording_failed || self.running.should_stop()
    }

    fn wants_bundle(&self, moment: BundlePoint) -> bool {
        match moment {
            BundlePoint::Step => self.outlets.keeper.is_due(),
            BundlePoint::Epoch => self.outlets.keeper.is_due_after_epoch(),
            // A job that ends has no use for it.
            BundlePoint::Stop => self.running.stopped() == Some(Stop::Shutdown),
        }
    }

    fn bundle(&mut self, bundle: Bundle) {
        self.outlets.keeper.take(Parcel {
            bundle,
            rows: self.rows,
            snapshots: self.snapshots,
        });
    }
}
