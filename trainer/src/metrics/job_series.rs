//! Series of single jobs: of those that run and of the last ones to end, twenty in all.

use crate::job::{JobState, now_us};
use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

const JOBS_AT_MOST: usize = 20;
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

/// Name and meaning of each, in the order of [`Gauge`].
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
        "mean over validation batches of each batch's mean, in nats",
    ),
    (
        "digits_trainer_job_validation_accuracy_ratio",
        "share of validation images that were right",
    ),
    (
        "digits_trainer_job_test_loss",
        "mean cross-entropy over the test images, in nats, after training",
    ),
    (
        "digits_trainer_job_test_accuracy_ratio",
        "share of test images that were right, after training",
    ),
    ("digits_trainer_job_epoch", "epoch, from 1"),
    ("digits_trainer_job_step", "steps done over all epochs"),
    ("digits_trainer_job_steps", "steps of the whole job"),
    (
        "digits_trainer_job_learning_rate",
        "learning rate of the newest logged step",
    ),
    (
        "digits_trainer_job_samples_per_second",
        "training images per second, validation left out",
    ),
    (
        "digits_trainer_job_begun_timestamp_seconds",
        "when the job, or what is left of it, began to be trained",
    ),
    (
        "digits_trainer_job_ended_timestamp_seconds",
        "when it ended",
    ),
    (
        "digits_trainer_job_temperature",
        "temperature fitted for the newest checkpoint",
    ),
    (
        "digits_trainer_job_calibration_error_before_ratio",
        "expected calibration error over the validation images without the temperature",
    ),
    (
        "digits_trainer_job_calibration_error_ratio",
        "expected calibration error over the validation images with the temperature",
    ),
    (
        "digits_trainer_job_test_loss_calibrated",
        "mean cross-entropy over the test images with the temperature, in nats, after training",
    ),
];

/// What a job's info series says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobInfo {
    /// The job.
    pub job_id: String,
    /// What its user calls it: at most 100 printable characters.
    pub name: String,
    /// The model that its checkpoints are for.
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
    /// Whether it ever began to be trained; else there is nothing to tell but its id and its end.
    begun: bool,
    ended: AtomicBool,
    /// How it ended, once that is written down.
    end: OnceLock<JobState>,
    /// Bits of f64; NaN where not set.
    values: [AtomicU64; GAUGES.len()],
}

impl JobSeries {
    /// Sets a gauge; costs one store.
    pub fn set(&self, gauge: Gauge, value: f64) {
        self.values[gauge as usize].store(value.to_bits(), Ordering::Relaxed);
    }

    /// The job has ended: its series may go when others need their place.
    pub fn end(&self) {
        self.set(Gauge::Ended, now_seconds());
        self.ended.store(true, Ordering::Relaxed);
    }

    fn state(&self) -> JobState {
        self.end.get().copied().unwrap_or(JobState::Running)
    }

    fn value(&self, index: usize) -> Option<f64> {
        let value = f64::from_bits(self.values[index].load(Ordering::Relaxed));
        (!value.is_nan()).then_some(value)
    }
}

/// The series of all jobs that are shown.
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

    /// How a job ended; one that never began to be trained gets its series now.
    pub(super) fn finish(&self, job_id: &str, state: JobState) {
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
        // It ends once.
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
        while jobs.len() >= JOBS_AT_MOST {
            let ended = jobs
                .iter()
                .position(|job| job.ended.load(Ordering::Relaxed));
            jobs.remove(ended.unwrap_or(0));
        }
        jobs.push_back(Arc::clone(&series));
        series
    }

    /// Held for moments only.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<JobSeries>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn render(&self) -> String {
        let jobs: Vec<Arc<JobSeries>> = self.lock().iter().cloned().collect();
        let mut text = String::new();
        for (index, (name, meaning)) in GAUGES.iter().enumerate() {
            // The header is there without a job too, so that the metric is seen to exist.
            let _ = write!(text, "# HELP {name} {meaning}\n# TYPE {name} gauge\n");
            for job in &jobs {
                if let Some(value) = job.value(index) {
                    let _ = writeln!(
                        text,
                        "{name}{{job_id=\"{}\"}} {value}",
                        escape(&job.info.job_id)
                    );
                }
            }
        }
        render_states(&mut text, &jobs);
        render_infos(&mut text, &jobs);
        text
    }
}

/// One series for each job: that of its present state.
fn render_states(text: &mut String, jobs: &[Arc<JobSeries>]) {
    let _ = write!(
        text,
        "# HELP {STATE} 1 for the state that the job is in\n# TYPE {STATE} gauge\n"
    );
    for job in jobs {
        let (job_id, state) = (escape(&job.info.job_id), job.state().as_str());
        let _ = writeln!(text, "{STATE}{{job_id=\"{job_id}\",state=\"{state}\"}} 1");
    }
}

fn render_infos(text: &mut String, jobs: &[Arc<JobSeries>]) {
    let _ = write!(text, "# HELP {INFO} always 1\n# TYPE {INFO} gauge\n");
    for job in jobs.iter().filter(|job| job.begun) {
        let JobInfo {
            job_id,
            name,
            model,
            dataset,
            device,
            preset,
        } = &job.info;
        let labels = [
            ("job_id", job_id),
            ("name", name),
            ("model", model),
            ("dataset", dataset),
            ("device", device),
            ("preset", preset),
        ]
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
        let _ = writeln!(text, "{INFO}{{{}}} 1", labels.join(","));
    }
}

fn now_seconds() -> f64 {
    now_us() as f64 / 1e6
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn only_what_was_set_is_shown() {
        let all = AllJobs::default();
        let job = all.add(info(7));
        job.set(Gauge::Step, 12.0);
        let text = all.render();
        assert!(
            text.contains("digits_trainer_job_step{job_id=\"7\"} 12\n"),
            "{text}"
        );
        assert!(!text.contains("digits_trainer_job_test_loss{"), "{text}");
        let ended = "digits_trainer_job_ended_timestamp_seconds{";
        assert!(!text.contains(ended), "{text}");
        job.end();
        assert!(all.render().contains(ended));
        assert!(text.contains("dataset=\"a\\\"b\""), "{text}");
        assert!(text.contains("name=\"first\\\\try\""), "{text}");
    }

    /// The lines of the states that the text tells of.
    fn states(all: &AllJobs) -> Vec<String> {
        let text = all.render();
        let lines = text.lines().filter_map(|line| line.strip_prefix(STATE));
        lines
            .filter(|rest| rest.starts_with('{'))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_job_has_the_series_of_its_present_state_alone() {
        let all = AllJobs::default();
        let job = all.add(info(7));
        assert_eq!(states(&all), ["{job_id=\"7\",state=\"running\"} 1"]);
        // Its end is not written down yet.
        job.end();
        assert_eq!(states(&all), ["{job_id=\"7\",state=\"running\"} 1"]);
        all.finish("7", JobState::Failed);
        assert_eq!(states(&all), ["{job_id=\"7\",state=\"failed\"} 1"]);
    }

    #[test]
    fn a_job_that_never_began_is_told_of_when_it_ends() {
        let all = AllJobs::default();
        all.finish("8", JobState::Failed);
        assert_eq!(states(&all), ["{job_id=\"8\",state=\"failed\"} 1"]);
        let text = all.render();
        assert!(text.contains("digits_trainer_job_ended_timestamp_seconds{job_id=\"8\"}"));
        assert!(!text.contains("digits_trainer_job_begun_timestamp_seconds{"));
        assert!(!text.contains("digits_trainer_job_info{"), "{text}");
        // It does not hold the place of those that run.
        let running = all.add(info(0));
        running.set(Gauge::Step, 1.0);
        for id in 1..JOBS_AT_MOST {
            all.finish(&format!("failed-{id}"), JobState::Failed);
        }
        assert_eq!(states(&all).len(), JOBS_AT_MOST);
        assert!(
            all.render()
                .contains("digits_trainer_job_step{job_id=\"0\"} 1")
        );
        all.finish("the last", JobState::Cancelled);
        assert_eq!(states(&all).len(), JOBS_AT_MOST);
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
        let text = all.render();
        assert_eq!(
            text.matches("digits_trainer_job_info{").count(),
            JOBS_AT_MOST
        );
        assert!(
            text.contains("digits_trainer_job_step{job_id=\"0\"} 1"),
            "{text}"
        );
        assert!(text.contains("job_id=\"99\""), "{text}");
    }
}
