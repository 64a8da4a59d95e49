//! Every metric of the trainer but for those of requests, which `digits_server` records. All are
//! described in `deploy/METRICS.md`.
//!
//! Series of a job come and go, and the recorder of the `metrics` crate never forgets a series. So these few are
//! kept here, for the jobs that run and the last ones to end, and rendered as a section of their own.

pub mod gpu_memory;
mod job_series;
mod push;

pub use job_series::{Gauge, JobInfo, JobSeries};
pub use push::{DropReason, PushMetrics};

use crate::{
    job::{JobId, JobState},
    train::TrainError,
};
use digits_checkpoint::{
    manifest::{Evaluation, Report},
    retention::Report as Retained,
};
use digits_telemetry::metrics::{DURATION_BUCKETS, InstallError, Recorder, Section};
use job_series::AllJobs;
use metrics::{
    Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use std::{sync::Arc, time::Duration};

/// Jobs take from a tenth of a second to a day.
const JOB_BUCKETS: &[f64] = &[
    0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1_800.0, 3_600.0, 14_400.0, 86_400.0,
];

/// Prefix of the trainer's metrics.
pub const PREFIX: &str = "digits_trainer";

/// Installs the process's recorder; call it before [`Metrics::new`].
///
/// # Errors
/// [`InstallError`] when there is one already.
pub fn install() -> Result<Recorder, InstallError> {
    digits_telemetry::metrics::install(&[
        ("digits_trainer_job_duration_seconds", JOB_BUCKETS),
        ("digits_trainer_publish_duration_seconds", DURATION_BUCKETS),
        ("digits_trainer_report_duration_seconds", JOB_BUCKETS),
        (
            "digits_trainer_bundle_write_duration_seconds",
            DURATION_BUCKETS,
        ),
        (
            "digits_trainer_grpc_request_duration_seconds",
            DURATION_BUCKETS,
        ),
    ])
}

/// Where an attempt to train a job begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// At the first step.
    Start,
    /// At a resume bundle.
    Bundle,
}

/// Handles of the trainer's metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    /// Of pushing curves.
    pub push: PushMetrics,
    jobs: Arc<AllJobs>,
    submitted: Counter,
    losses_not_finite: Counter,
    samples: Counter,
    published: Counter,
    publish_failures: Counter,
    publish_duration: Histogram,
    reports_made: Counter,
    reports_failed: Counter,
    report_duration: Histogram,
    states: Arc<[(JobState, metrics::Gauge)]>,
    finished: Arc<[(JobState, Counter, Histogram)]>,
    from_start: Counter,
    from_bundle: Counter,
    bundles_unwritten: Counter,
    bundles_unread: Counter,
    bundle_duration: Histogram,
    queue_length: metrics::Gauge,
    last_publish: metrics::Gauge,
    retention: Arc<RetentionMetrics>,
}

struct RetentionMetrics {
    buried: Counter,
    spared: Counter,
    deleted: Counter,
    failures: Counter,
}

impl RetentionMetrics {
    fn new() -> Self {
        let checkpoints = |action: &'static str| counter!("digits_trainer_retention_checkpoints_total", "action" => action);
        Self {
            buried: checkpoints("buried"),
            spared: checkpoints("spared"),
            deleted: checkpoints("deleted"),
            failures: counter!("digits_trainer_retention_failures_total"),
        }
    }
}

impl Metrics {
    /// Declares everything, so that each metric is there before it first counts.
    #[must_use]
    pub fn new(queue_capacity: u64, workers: usize) -> Self {
        describe();
        gauge!("digits_trainer_build_info",
            "version" => env!("CARGO_PKG_VERSION"), "libtorch" => crate::train::libtorch_version())
        .set(1.0);
        gauge!("digits_trainer_queue_capacity").set(queue_capacity as f64);
        gauge!("digits_trainer_workers").set(workers as f64);
        let attempts =
            |from: &'static str| counter!("digits_trainer_job_attempts_total", "from" => from);
        let failures = |operation: &'static str| counter!("digits_trainer_bundle_failures_total", "operation" => operation);
        let ends = JobState::ALL.into_iter().filter(|state| state.is_end());
        Self {
            push: PushMetrics::new(),
            jobs: Arc::default(),
            submitted: counter!("digits_trainer_jobs_submitted_total"),
            losses_not_finite: counter!("digits_trainer_losses_not_finite_total"),
            samples: counter!("digits_trainer_samples_total"),
            published: counter!("digits_trainer_checkpoints_published_total"),
            publish_failures: counter!("digits_trainer_publish_failures_total"),
            publish_duration: histogram!("digits_trainer_publish_duration_seconds"),
            reports_made: counter!("digits_trainer_reports_total", "result" => "made"),
            reports_failed: counter!("digits_trainer_reports_total", "result" => "failed"),
            report_duration: histogram!("digits_trainer_report_duration_seconds"),
            states: JobState::ALL
                .into_iter()
                .map(|state| {
                    (
                        state,
                        gauge!("digits_trainer_jobs", "state" => state.as_str()),
                    )
                })
                .collect(),
            finished: ends
                .map(|state| {
                    let name = state.as_str();
                    (
                        state,
                        counter!("digits_trainer_jobs_finished_total", "state" => name),
                        histogram!("digits_trainer_job_duration_seconds", "state" => name),
                    )
                })
                .collect(),
            from_start: attempts("start"),
            from_bundle: attempts("bundle"),
            bundles_unwritten: failures("write"),
            bundles_unread: failures("read"),
            bundle_duration: histogram!("digits_trainer_bundle_write_duration_seconds"),
            queue_length: gauge!("digits_trainer_queue_length"),
            last_publish: gauge!("digits_trainer_last_publish_timestamp_seconds"),
            retention: Arc::new(RetentionMetrics::new()),
        }
    }

    /// The series of single jobs, to be appended to what the recorder renders.
    #[must_use]
    pub fn section(&self) -> Section {
        let jobs = Arc::clone(&self.jobs);
        Arc::new(move || jobs.render())
    }

    /// A job begins: its series appear, those of the job that ended first may go.
    #[must_use]
    pub fn job_begins(&self, info: JobInfo) -> Arc<JobSeries> {
        self.jobs.add(info)
    }

    /// A job was accepted.
    pub fn job_submitted(&self) {
        self.submitted.increment(1);
    }

    /// The training of a job begins or goes on.
    pub fn attempt(&self, from: Beginning) {
        match from {
            Beginning::Start => self.from_start.increment(1),
            Beginning::Bundle => self.from_bundle.increment(1),
        }
    }

    /// A resume bundle is durable, `elapsed` after its turn came.
    pub fn bundle_written(&self, elapsed: Duration) {
        self.bundle_duration.record(elapsed.as_secs_f64());
    }

    /// A resume bundle could not be written.
    pub fn bundle_failed(&self) {
        self.bundles_unwritten.increment(1);
    }

    /// A resume bundle was damaged or of no use.
    pub fn bundle_refused(&self) {
        self.bundles_unread.increment(1);
    }

    /// A job ended, `elapsed` after it began.
    pub fn job_finished(&self, job: JobId, end: JobState, elapsed: Duration) {
        self.jobs.finish(&job.to_string(), end);
        for (state, count, duration) in self.finished.iter() {
            if *state == end {
                count.increment(1);
                duration.record(elapsed.as_secs_f64());
            }
        }
    }

    /// The loss of a job became infinite or NaN.
    pub fn loss_not_finite(&self) {
        self.losses_not_finite.increment(1);
    }

    /// How many jobs the database has in each state.
    pub fn jobs_by_state(&self, counts: &[(JobState, u64)]) {
        for (state, gauge) in self.states.iter() {
            let count = counts.iter().find(|(counted, _)| counted == state);
            let count = count.map_or(0, |(_, count)| *count) as f64;
            gauge.set(count);
            if *state == JobState::Queued {
                self.queue_length.set(count);
            }
        }
    }

    /// Images were trained on.
    pub fn samples(&self, images: u64) {
        self.samples.increment(images);
    }

    /// A checkpoint was committed, `elapsed` after its weights were taken.
    pub fn published(&self, elapsed: Duration, at_us: i64) {
        self.published.increment(1);
        self.publish_duration.record(elapsed.as_secs_f64());
        self.last_publish.set(at_us as f64 / 1e6);
    }

    /// A report card was measured, or could not be; one that was given up counts as failed.
    pub fn report_made(&self, made: &Result<Option<Report>, TrainError>) {
        match made {
            Ok(Some(report)) => {
                self.reports_made.increment(1);
                self.report_duration.record(report.seconds);
            }
            Ok(None) | Err(_) => self.reports_failed.increment(1),
        }
    }

    /// An attempt to publish failed.
    pub fn publish_failed(&self) {
        self.publish_failures.increment(1);
    }

    /// Retention looked through the checkpoints.
    pub fn retained(&self, report: &Retained) {
        for (counter, ids) in [
            (&self.retention.buried, &report.buried),
            (&self.retention.spared, &report.spared),
            (&self.retention.deleted, &report.deleted),
        ] {
            counter.increment(ids.len() as u64);
        }
    }

    /// A look of retention failed.
    pub fn retention_failed(&self) {
        self.retention.failures.increment(1);
    }
}

/// Puts an evaluation into a job's series.
pub fn show_test(series: &JobSeries, test: &Evaluation) {
    series.set(Gauge::TestLoss, test.loss);
    series.set(Gauge::TestAccuracy, test.accuracy());
}

fn describe() {
    describe_gauge!("digits_trainer_build_info", "always 1");
    describe_gauge!("digits_trainer_jobs", "jobs in the database by state");
    describe_gauge!("digits_trainer_queue_length", "jobs that wait for a worker");
    describe_gauge!("digits_trainer_queue_capacity", "jobs that may wait");
    describe_counter!(
        "digits_trainer_jobs_submitted_total",
        "jobs accepted since the start"
    );
    describe_counter!(
        "digits_trainer_jobs_finished_total",
        "jobs ended since the start"
    );
    describe_histogram!(
        "digits_trainer_job_duration_seconds",
        "from the begin of a job to its end"
    );
    describe_gauge!("digits_trainer_workers", "jobs that can run at a time");
    describe_counter!(
        "digits_trainer_job_attempts_total",
        "trainings begun, from the first step or from a resume bundle"
    );
    describe_histogram!(
        "digits_trainer_bundle_write_duration_seconds",
        "encoding a resume bundle and making it durable"
    );
    describe_counter!(
        "digits_trainer_bundle_failures_total",
        "resume bundles that could not be written, or were damaged when read"
    );
    describe_counter!(
        "digits_trainer_losses_not_finite_total",
        "trainings that ended because their loss was infinite or NaN"
    );
    describe_counter!(
        "digits_trainer_samples_total",
        "images trained on since the start"
    );
    describe_counter!(
        "digits_trainer_checkpoints_published_total",
        "checkpoints committed since the start"
    );
    describe_counter!(
        "digits_trainer_publish_failures_total",
        "attempts to publish that failed"
    );
    describe_histogram!(
        "digits_trainer_publish_duration_seconds",
        "from the weights to the commit"
    );
    describe_counter!(
        "digits_trainer_reports_total",
        "report cards measured since the start"
    );
    describe_histogram!(
        "digits_trainer_report_duration_seconds",
        "time of measuring a report card"
    );
    describe_counter!(
        "digits_trainer_retention_checkpoints_total",
        "checkpoints that retention marked, let live after all, or deleted"
    );
    describe_counter!(
        "digits_trainer_retention_failures_total",
        "looks of retention that failed"
    );
    describe_gauge!(
        "digits_trainer_last_publish_timestamp_seconds",
        "when a checkpoint was last committed"
    );
}
