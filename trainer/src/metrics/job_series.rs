//! Series of single jobs: of the running ones and the last ones to end, twenty in all.

use super::labels::StateLabel;
use digits_telemetry::metrics::Exposition;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

/// Largest number of jobs with series.
const MAX_JOBS: usize = 20;
const INFO: &str = "digits_trainer_job_info";
const STATE: &str = "digits_trainer_job_state";

/// A gauge that every job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// Loss of the newest logged training batch.
    TrainLoss,
    /// Loss over the validation images.
    ValidationLoss,
    /// The same as a mean over batches.
    ValidationLossBatchMean,
    /// Share of validation images that were right.
    ValidationAccuracy,
    /// Loss over the test images.
    TestLoss,
    /// Share of test images that were right.
    TestAccuracy,
    /// Epoch, from 1.
    Epoch,
    /// Steps done.
    Step,
    /// Steps of the whole job.
    Steps,
    /// Learning rate.
    LearningRate,
    /// Training images per second.
    SamplesPerSecond,
    /// When the attempt began, in seconds since 1970.
    Begun,
    /// When it ended.
    Ended,
    /// Temperature of the newest snapshot.
    Temperature,
    /// Its calibration error without the temperature.
    CalibrationErrorBefore,
    /// The same with it.
    CalibrationError,
    /// Loss over the test images with the temperature.
    TestLossCalibrated,
}

/// Name and HELP text of each, in the order of [`Gauge`].
const GAUGES: [(&str, &str); 17] = [
    (
        "digits_trainer_job_train_loss",
        "mean cross-entropy of the newest logged training batch, in nats",
    ),
    (
        "digits_trainer_job_validation_loss",
        "mean cross-entropy over the validation images, in nats",
    ),
    (
        "digits_trainer_job_validation_loss_batch_mean",
        "mean over validation batches of each batch's mean loss, in nats, as the notebook computes it",
    ),
    (
        "digits_trainer_job_validation_accuracy_ratio",
        "share of validation images that were classified correctly",
    ),
    (
        "digits_trainer_job_test_loss",
        "mean cross-entropy over the test images, in nats, after training",
    ),
    (
        "digits_trainer_job_test_accuracy_ratio",
        "share of test images that were classified correctly, after training",
    ),
    ("digits_trainer_job_epoch", "current epoch, from 1"),
    (
        "digits_trainer_job_step",
        "training steps done, over all epochs",
    ),
    (
        "digits_trainer_job_steps",
        "training steps of the whole job",
    ),
    (
        "digits_trainer_job_learning_rate",
        "learning rate of the newest logged step",
    ),
    (
        "digits_trainer_job_samples_per_second",
        "training images per second, without the time of validations",
    ),
    (
        "digits_trainer_job_begun_timestamp_seconds",
        "when training of the job, or of what was left of it after a restart, started",
    ),
    (
        "digits_trainer_job_ended_timestamp_seconds",
        "when the job ended",
    ),
    (
        "digits_trainer_job_temperature",
        "temperature fitted for the newest checkpoint",
    ),
    (
        "digits_trainer_job_calibration_error_before_ratio",
        "expected calibration error (15 bins) over the validation images, without the temperature",
    ),
    (
        "digits_trainer_job_calibration_error_ratio",
        "expected calibration error (15 bins) over the validation images, with the temperature",
    ),
    (
        "digits_trainer_job_test_loss_calibrated",
        "mean cross-entropy over the test images after training, in nats, with the temperature applied (as in Predict)",
    ),
];

/// Labels of a job's info series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobInfo {
    /// The job.
    pub job_id: String,
    /// Its display name: at most 100 printable characters.
    pub name: String,
    /// The model of its checkpoints.
    pub model: String,
    /// Its data set.
    pub dataset: String,
    /// Its device.
    pub device: String,
    /// The preset that filled its spec.
    pub preset: String,
}

/// The gauges of one job. A gauge that was never set has no series.
pub struct JobSeries {
    info: JobInfo,
    /// Whether its training ever started; else it has only the series of its state and its end.
    begun: bool,
    ended: AtomicBool,
    /// The final state, once the database has it.
    end: OnceLock<StateLabel>,
    /// Bits of f64; NaN where not set.
    values: [AtomicU64; GAUGES.len()],
}

impl JobSeries {
    /// Sets a gauge; costs one store.
    pub fn set(&self, gauge: Gauge, value: f64) {
        self.values[gauge as usize].store(value.to_bits(), Ordering::Relaxed);
    }

    /// Sets the loss and the accuracy over the test images.
    pub fn set_test(&self, loss: f64, accuracy: f64) {
        self.set(Gauge::TestLoss, loss);
        self.set(Gauge::TestAccuracy, accuracy);
    }

    /// The job has ended: its series may go when others need the room.
    pub fn end(&self) {
        self.set(Gauge::Ended, now_seconds());
        self.ended.store(true, Ordering::Relaxed);
    }

    fn state(&self) -> StateLabel {
        self.end.get().copied().unwrap_or(StateLabel::Running)
    }

    fn value(&self, index: usize) -> Option<f64> {
        let value = f64::from_bits(self.values[index].load(Ordering::Relaxed));
        (!value.is_nan()).then_some(value)
    }
}

/// The jobs with series.
#[derive(Default)]
pub(super) struct AllJobs {
    /// Oldest first.
    jobs: Mutex<VecDeque<Arc<JobSeries>>>,
}

impl AllJobs {
    pub(super) fn add(&self, info: JobInfo) -> Arc<JobSeries> {
        let series = self.put(info, true);
        series.set(Gauge::Begun, now_seconds());
        series
    }

    /// A job ended in the final state `state`; one whose training never started gets its series
    /// now.
    pub(super) fn finish(&self, job_id: &str, state: StateLabel) {
        let found = self
            .lock()
            .iter()
            .find(|job| job.info.job_id == job_id)
            .cloned();
        let series = found.unwrap_or_else(|| {
            let job_id = job_id.to_owned();
            self.put(
                JobInfo {
                    job_id,
                    ..JobInfo::default()
                },
                false,
            )
        });
        // Set once.
        let _ = series.end.set(state);
        if !series.ended.load(Ordering::Relaxed) {
            series.end();
        }
    }

    fn put(&self, info: JobInfo, begun: bool) -> Arc<JobSeries> {
        let series = Arc::new(JobSeries {
            begun,
            ended: AtomicBool::new(false),
            end: OnceLock::new(),
            values: std::array::from_fn(|_| AtomicU64::new(f64::NAN.to_bits())),
            info,
        });
        let mut jobs = self.lock();
        // A second attempt replaces the first.
        jobs.retain(|job| job.info.job_id != series.info.job_id);
        while jobs.len() >= MAX_JOBS {
            let ended = jobs
                .iter()
                .position(|job| job.ended.load(Ordering::Relaxed));
            jobs.remove(ended.unwrap_or(0));
        }
        jobs.push_back(Arc::clone(&series));
        series
    }

    /// Held briefly.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<JobSeries>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn render(&self, scrape: &mut Exposition) {
        let jobs: Vec<Arc<JobSeries>> = self.lock().iter().cloned().collect();
        for (index, (name, help)) in GAUGES.iter().enumerate() {
            let mut family = scrape.gauge(name, help);
            for job in &jobs {
                if let Some(value) = job.value(index) {
                    family.series(&[("job_id", &job.info.job_id)], value);
                }
            }
        }
        let mut states = scrape.gauge(
            STATE,
            "1 for the current state of the job; past states have no series",
        );
        for job in &jobs {
            let labels = [
                ("job_id", &*job.info.job_id),
                ("state", job.state().as_str()),
            ];
            states.series(&labels, 1.0);
        }
        let mut infos = scrape.gauge(
            INFO,
            "always 1; name is the display name that the user chose, at most 100 printable characters",
        );
        for job in jobs.iter().filter(|job| job.begun) {
            infos.series(&job.info.labels(), 1.0);
        }
    }
}

impl JobInfo {
    fn labels(&self) -> [(&str, &str); 6] {
        [
            ("job_id", &self.job_id),
            ("name", &self.name),
            ("model", &self.model),
            ("dataset", &self.dataset),
            ("device", &self.device),
            ("preset", &self.preset),
        ]
    }
}

fn now_seconds() -> f64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_1970.map_or(0.0, |elapsed| elapsed.as_micros() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(all: &AllJobs) -> String {
        let mut scrape = Exposition::default();
        all.render(&mut scrape);
        scrape.into_text()
    }

    fn info(job_id: usize) -> JobInfo {
        JobInfo {
            job_id: job_id.to_string(),
            name: "first\\try".to_owned(),
            model: "digits".to_owned(),
            dataset: "a\"b".to_owned(),
            device: "cpu".to_owned(),
            preset: "notebook".to_owned(),
        }
    }

    #[test]
    fn a_gauge_that_was_never_set_has_no_series() {
        let all = AllJobs::default();
        let job = all.add(info(7));
        job.set(Gauge::Step, 12.0);
        let text = render(&all);
        assert!(
            text.contains("digits_trainer_job_step{job_id=\"7\"} 12\n"),
            "{text}"
        );
        assert!(!text.contains("digits_trainer_job_test_loss{"), "{text}");
        let ended = "digits_trainer_job_ended_timestamp_seconds{";
        assert!(!text.contains(ended), "{text}");
        job.end();
        assert!(render(&all).contains(ended));
        assert!(text.contains("dataset=\"a\\\"b\""), "{text}");
        assert!(text.contains("name=\"first\\\\try\""), "{text}");
    }

    /// The series of the states.
    fn states(all: &AllJobs) -> Vec<String> {
        let text = render(all);
        let lines = text.lines().filter_map(|line| line.strip_prefix(STATE));
        lines
            .filter(|rest| rest.starts_with('{'))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_job_has_the_series_of_its_current_state_alone() {
        let all = AllJobs::default();
        let job = all.add(info(7));
        assert_eq!(states(&all), ["{job_id=\"7\",state=\"running\"} 1"]);
        // The database does not have its end yet.
        job.end();
        assert_eq!(states(&all), ["{job_id=\"7\",state=\"running\"} 1"]);
        all.finish("7", StateLabel::Failed);
        assert_eq!(states(&all), ["{job_id=\"7\",state=\"failed\"} 1"]);
    }

    #[test]
    fn a_job_that_never_started_has_a_state_when_it_ends() {
        let all = AllJobs::default();
        all.finish("8", StateLabel::Failed);
        assert_eq!(states(&all), ["{job_id=\"8\",state=\"failed\"} 1"]);
        let text = render(&all);
        assert!(text.contains("digits_trainer_job_ended_timestamp_seconds{job_id=\"8\"}"));
        assert!(!text.contains("digits_trainer_job_begun_timestamp_seconds{"));
        assert!(!text.contains("digits_trainer_job_info{"), "{text}");
        // It does not take the room of running jobs.
        let running = all.add(info(0));
        running.set(Gauge::Step, 1.0);
        for id in 1..MAX_JOBS {
            all.finish(&format!("failed-{id}"), StateLabel::Failed);
        }
        assert_eq!(states(&all).len(), MAX_JOBS);
        assert!(render(&all).contains("digits_trainer_job_step{job_id=\"0\"} 1"));
        all.finish("the last", StateLabel::Cancelled);
        assert_eq!(states(&all).len(), MAX_JOBS);
        assert!(!states(&all).iter().any(|line| line.contains("\"8\"")));
    }

    #[test]
    fn the_series_are_bounded_and_running_jobs_stay() {
        let all = AllJobs::default();
        let running = all.add(info(0));
        running.set(Gauge::Step, 1.0);
        for id in 1..100 {
            all.add(info(id)).end();
        }
        let text = render(&all);
        assert_eq!(text.matches("digits_trainer_job_info{").count(), MAX_JOBS);
        assert!(
            text.contains("digits_trainer_job_step{job_id=\"0\"} 1"),
            "{text}"
        );
        assert!(text.contains("job_id=\"99\""), "{text}");
    }
}
