//! The metrics of the trainer, but for those of requests, which `digits_server` records;
//! `deploy/METRICS.md` has the meaning of each.
//!
//! The series of a job come and go, and the recorder never forgets a series. So they are kept here,
//! of the running jobs and the last ones to end, and rendered as a section of their own.

mod attempts;
pub mod gpu_memory;
mod help;
mod job_series;
mod labels;
mod push;
mod tracker;
mod webhook;

pub use attempts::AttemptMetrics;
pub use job_series::{Gauge, JobInfo, JobSeries};
pub use labels::{AttemptEndLabel, AttemptFrom, StateLabel};
pub use push::{DropReason, PushMetrics};
pub use tracker::{AllTrackerMetrics, TrackerLabel, TrackerMetrics};
pub use webhook::{EventDropReason, WebhookMetrics};

use crate::quotas::QuotaExceeded;
use digits_checkpoint::serving::NotPromoted;
use digits_telemetry::metrics::{DURATION_BUCKETS, InstallError, Recorder, Section};
use job_series::AllJobs;
use metrics::{Counter, Histogram, counter, gauge, histogram};
use std::{sync::Arc, time::Duration};

/// Buckets for times of jobs, in seconds: a tenth of a second to a day.
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
        ("digits_trainer_job_queue_duration_seconds", JOB_BUCKETS),
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

/// Handles of the trainer's metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    /// Remote write of the curves.
    pub push: PushMetrics,
    /// Attempts and their workers.
    pub attempts: AttemptMetrics,
    /// Webhooks.
    pub webhooks: WebhookMetrics,
    /// Experiment trackers.
    pub trackers: AllTrackerMetrics,
    jobs: Arc<AllJobs>,
    submitted: Counter,
    quotas_exceeded: Arc<[(&'static str, Counter)]>,
    losses_not_finite: Counter,
    samples: Counter,
    published: Counter,
    publish_failures: Counter,
    publish_waiting: metrics::Gauge,
    not_promoted: Arc<[(NotPromoted, Counter)]>,
    publish_duration: Histogram,
    reports_made: Counter,
    reports_failed: Counter,
    report_duration: Histogram,
    states: Arc<[(StateLabel, metrics::Gauge)]>,
    finished: Arc<[(StateLabel, Counter, Histogram)]>,
    from_start: Counter,
    from_bundle: Counter,
    bundles_unwritten: Counter,
    bundles_unread: Counter,
    bundle_duration: Histogram,
    queue_length: metrics::Gauge,
    last_publish: metrics::Gauge,
    retention: Arc<RetentionMetrics>,
    database_lost: metrics::Gauge,
    journal_failing: metrics::Gauge,
    database_repairs: Counter,
}

/// Checkpoints that a retention sweep changed.
#[derive(Clone, Copy, Debug)]
pub struct SweepCounts {
    /// Marked for deletion.
    pub buried: u64,
    /// Unmarked.
    pub spared: u64,
    /// Deleted.
    pub deleted: u64,
}

/// What became of the files of the job database.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseFiles {
    /// They are gone, or others are in their place.
    pub lost: bool,
    /// Nothing is written because the journal cannot be written.
    pub journal_fails: bool,
    /// Times that they were gone and written again since the start of the process.
    pub repairs: u64,
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
    /// Registers every metric, so that each is exported before its first sample.
    #[must_use]
    pub fn new(queue_capacity: u64, workers: usize) -> Self {
        help::describe();
        gauge!("digits_trainer_build_info",
            "version" => env!("CARGO_PKG_VERSION"), "libtorch" => crate::train::libtorch_version())
        .set(1.0);
        gauge!("digits_trainer_queue_capacity").set(queue_capacity as f64);
        gauge!("digits_trainer_workers").set(workers as f64);
        let attempts =
            |from: &'static str| counter!("digits_trainer_job_attempts_total", "from" => from);
        let failures = |operation: &'static str| counter!("digits_trainer_bundle_failures_total", "operation" => operation);
        Self {
            push: PushMetrics::new(),
            attempts: AttemptMetrics::new(),
            webhooks: WebhookMetrics::new(),
            trackers: AllTrackerMetrics::new(),
            jobs: Arc::default(),
            submitted: counter!("digits_trainer_jobs_submitted_total"),
            quotas_exceeded: QuotaExceeded::LABELS
                .into_iter()
                .map(|quota| {
                    let counter =
                        counter!("digits_trainer_quota_refusals_total", "quota" => quota);
                    (quota, counter)
                })
                .collect(),
            losses_not_finite: counter!("digits_trainer_losses_not_finite_total"),
            samples: counter!("digits_trainer_samples_total"),
            published: counter!("digits_trainer_checkpoints_published_total"),
            publish_failures: counter!("digits_trainer_publish_failures_total"),
            publish_waiting: gauge!("digits_trainer_publish_waiting_seconds"),
            not_promoted: NotPromoted::ALL
                .into_iter()
                .filter(|&reason| reason != NotPromoted::Manual)
                .map(|reason| {
                    (
                        reason,
                        counter!("digits_trainer_promotions_held_total", "reason" => reason.as_str()),
                    )
                })
                .collect(),
            publish_duration: histogram!("digits_trainer_publish_duration_seconds"),
            reports_made: counter!("digits_trainer_reports_total", "result" => "made"),
            reports_failed: counter!("digits_trainer_reports_total", "result" => "failed"),
            report_duration: histogram!("digits_trainer_report_duration_seconds"),
            states: StateLabel::ALL
                .into_iter()
                .map(|state| {
                    (
                        state,
                        gauge!("digits_trainer_jobs", "state" => state.as_str()),
                    )
                })
                .collect(),
            finished: StateLabel::FINAL
                .into_iter()
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
            database_lost: gauge!("digits_trainer_database_lost"),
            journal_failing: gauge!("digits_trainer_journal_failing"),
            database_repairs: counter!("digits_trainer_database_repairs_total"),
        }
    }

    /// The series of single jobs, for the recorder.
    #[must_use]
    pub fn section(&self) -> Section {
        let jobs = Arc::clone(&self.jobs);
        Arc::new(move |scrape| jobs.render(scrape))
    }

    /// Training of a job starts: its series appear, and those of the job that ended first may go.
    #[must_use]
    pub fn job_begins(&self, info: JobInfo) -> Arc<JobSeries> {
        self.jobs.add(info)
    }

    /// A job was accepted.
    pub fn job_submitted(&self) {
        self.submitted.increment(1);
    }

    /// A call was refused because a quota of its client is used up.
    pub fn quota_exceeded(&self, exceeded: QuotaExceeded) {
        let counters = self.quotas_exceeded.iter();
        for (_, counter) in counters.filter(|(quota, _)| *quota == exceeded.label()) {
            counter.increment(1);
        }
    }

    /// An attempt to train a job starts.
    pub fn attempt(&self, from: AttemptFrom) {
        match from {
            AttemptFrom::Start => self.from_start.increment(1),
            AttemptFrom::Bundle => self.from_bundle.increment(1),
        }
    }

    /// A resume bundle is durable, `elapsed` after its encoding started.
    pub fn bundle_written(&self, elapsed: Duration) {
        self.bundle_duration.record(elapsed.as_secs_f64());
    }

    /// A resume bundle could not be written.
    pub fn bundle_failed(&self) {
        self.bundles_unwritten.increment(1);
    }

    /// A resume bundle was damaged or unusable.
    pub fn bundle_refused(&self) {
        self.bundles_unread.increment(1);
    }

    /// A job ended in the final state `end`, `elapsed` after it started.
    pub fn job_finished(&self, job_id: &str, end: StateLabel, elapsed: Duration) {
        self.jobs.finish(job_id, end);
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

    /// Sets the number of jobs in the database by state; a state without a count has none. Of the
    /// queued ones, `taken` have left the trainer's queue: their workers do not run yet.
    pub fn jobs_by_state(&self, counts: &[(StateLabel, u64)], taken: u64) {
        for (state, gauge) in self.states.iter() {
            let count = counts.iter().find(|(counted, _)| counted == state);
            let count = count.map_or(0, |(_, count)| *count) as f64;
            gauge.set(count);
            if *state == StateLabel::Queued {
                self.queue_length.set((count - taken as f64).max(0.0));
            }
        }
    }

    /// Sets what became of the files of the job database.
    pub fn database(&self, files: DatabaseFiles) {
        self.database_lost.set(f64::from(u8::from(files.lost)));
        self.journal_failing
            .set(f64::from(u8::from(files.journal_fails)));
        self.database_repairs.absolute(files.repairs);
    }

    /// Images were trained on.
    pub fn samples(&self, images: u64) {
        self.samples.increment(images);
    }

    /// A checkpoint was committed at `at_us` (microseconds since 1970), `elapsed` after its
    /// publication started.
    pub fn published(&self, elapsed: Duration, at_us: i64) {
        self.published.increment(1);
        self.publish_duration.record(elapsed.as_secs_f64());
        self.last_publish.set(at_us as f64 / 1e6);
    }

    /// A report card was measured in `seconds`; `None` if that failed or was stopped.
    pub fn report_made(&self, seconds: Option<f64>) {
        match seconds {
            Some(seconds) => {
                self.reports_made.increment(1);
                self.report_duration.record(seconds);
            }
            None => self.reports_failed.increment(1),
        }
    }

    /// A published checkpoint was not promoted. Those of a manual policy are not counted: nobody
    /// expects their promotion.
    pub fn not_promoted(&self, reason: NotPromoted) {
        for (counted, count) in self.not_promoted.iter() {
            if *counted == reason {
                count.increment(1);
            }
        }
    }

    /// An attempt to publish failed.
    pub fn publish_failed(&self) {
        self.publish_failures.increment(1);
    }

    /// Sets how long the oldest checkpoint has waited for a storage that fails; zero while none
    /// waits.
    pub fn publish_waits(&self, waited: Duration) {
        self.publish_waiting.set(waited.as_secs_f64());
    }

    /// A retention sweep is done.
    pub fn retention_swept(&self, sweep: SweepCounts) {
        self.retention.buried.increment(sweep.buried);
        self.retention.spared.increment(sweep.spared);
        self.retention.deleted.increment(sweep.deleted);
    }

    /// A retention sweep failed.
    pub fn retention_failed(&self) {
        self.retention.failures.increment(1);
    }
}
