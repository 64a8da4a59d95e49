//! HELP texts of the metrics: the wording of `deploy/METRICS.md`, which a test compares.

use metrics::{describe_counter, describe_gauge, describe_histogram};

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram};

const HELP: &[(Kind, &str, &str)] = &[
    (Gauge, "digits_trainer_build_info", "always 1"),
    (
        Gauge,
        "digits_trainer_jobs",
        "jobs in the database, by state",
    ),
    (
        Gauge,
        "digits_trainer_workers",
        "jobs that can run at a time",
    ),
    (
        Gauge,
        "digits_trainer_queue_length",
        "jobs that wait for a worker",
    ),
    (Gauge, "digits_trainer_queue_capacity", "jobs that may wait"),
    (
        Counter,
        "digits_trainer_jobs_submitted_total",
        "jobs accepted since the start of the process",
    ),
    (
        Counter,
        "digits_trainer_quota_refusals_total",
        "calls refused because a quota of their client was used up, by quota",
    ),
    (
        Counter,
        "digits_trainer_jobs_finished_total",
        "jobs ended since the start of the process, by final state",
    ),
    (
        Histogram,
        "digits_trainer_job_duration_seconds",
        "time from the start of a job to its end",
    ),
    (
        Histogram,
        "digits_trainer_job_queue_duration_seconds",
        "time from the acceptance of a job to the start of its first training, wherever it waited",
    ),
    (
        Counter,
        "digits_trainer_attempts_ended_total",
        "attempts that ended, by outcome: finished (it ended its job), released (by a shutdown of the trainer), evicted (its place was taken from its worker), died (its worker died), not_begun (its worker did not find what it needs)",
    ),
    (
        Gauge,
        "digits_trainer_workers_waiting",
        "workers that do not run yet, by cause: queue (held by the queue of a cluster), placement (no machine has room), start (not started on its machine yet)",
    ),
    (
        Counter,
        "digits_trainer_losses_not_finite_total",
        "trainings that ended because their loss was infinite or NaN",
    ),
    (
        Counter,
        "digits_trainer_job_attempts_total",
        "trainings started at the first step (start) or resumed from a resume bundle (bundle)",
    ),
    (
        Histogram,
        "digits_trainer_bundle_write_duration_seconds",
        "time of encoding a resume bundle and making it durable",
    ),
    (
        Counter,
        "digits_trainer_bundle_failures_total",
        "resume bundles that could not be written (write), or were damaged or unusable (read)",
    ),
    (
        Counter,
        "digits_trainer_samples_total",
        "images trained on since the start of the process",
    ),
    (
        Counter,
        "digits_trainer_checkpoints_published_total",
        "checkpoints committed since the start of the process",
    ),
    (
        Counter,
        "digits_trainer_publish_failures_total",
        "attempts to publish that failed",
    ),
    (
        Gauge,
        "digits_trainer_publish_waiting_seconds",
        "time for which the oldest unpublished checkpoint of a running job has waited for a storage that fails; 0 while none waits",
    ),
    (
        Counter,
        "digits_trainer_promotions_held_total",
        "published checkpoints that were not promoted automatically, by reason",
    ),
    (
        Histogram,
        "digits_trainer_publish_duration_seconds",
        "time of publishing a checkpoint, until the commit",
    ),
    (
        Counter,
        "digits_trainer_reports_total",
        "report cards by result: made, failed (or given up); without those read from a manifest",
    ),
    (
        Histogram,
        "digits_trainer_report_duration_seconds",
        "time of measuring a report card",
    ),
    (
        Gauge,
        "digits_trainer_last_publish_timestamp_seconds",
        "when a checkpoint was last committed",
    ),
    (
        Counter,
        "digits_trainer_remote_write_samples_pushed_total",
        "samples of curves that the receiver of --remote-write accepted",
    ),
    (
        Counter,
        "digits_trainer_remote_write_samples_dropped_total",
        "samples of curves that were dropped, by reason",
    ),
    (
        Gauge,
        "digits_trainer_remote_write_backlog_samples",
        "samples of curves that wait to be pushed",
    ),
    (
        Counter,
        "digits_trainer_webhook_events_delivered_total",
        "events that a receiver of --webhook accepted",
    ),
    (
        Counter,
        "digits_trainer_webhook_attempt_failures_total",
        "attempts to deliver an event that failed and are repeated",
    ),
    (
        Counter,
        "digits_trainer_webhook_events_dropped_total",
        "events that were dropped before a receiver of --webhook accepted them, by reason",
    ),
    (
        Gauge,
        "digits_trainer_webhook_events_waiting",
        "events that wait for a receiver of --webhook, over all receivers",
    ),
    (
        Gauge,
        "digits_trainer_webhook_oldest_waiting_seconds",
        "time for which the oldest event has waited for a receiver of --webhook; 0 while none waits",
    ),
    (
        Counter,
        "digits_trainer_tracker_events_total",
        "events of jobs that an experiment tracker (--mlflow-tracking-uri, --tensorboard-dir) has taken in",
    ),
    (
        Counter,
        "digits_trainer_tracker_attempt_failures_total",
        "attempts to write to an experiment tracker that failed and are repeated",
    ),
    (
        Counter,
        "digits_trainer_tracker_dropped_total",
        "requests that an experiment tracker refused for good, and checkpoints that were deleted before they were written to it",
    ),
    (
        Gauge,
        "digits_trainer_tracker_jobs_waiting",
        "jobs with events that an experiment tracker has not taken in",
    ),
    (
        Gauge,
        "digits_trainer_tracker_oldest_waiting_seconds",
        "time for which the oldest event has waited for an experiment tracker; 0 while none waits",
    ),
    (
        Gauge,
        "digits_trainer_database_lost",
        "1 while nothing is accepted because the file of the job database was removed or replaced",
    ),
    (
        Gauge,
        "digits_trainer_journal_failing",
        "1 while nothing is accepted because the journal of the job database cannot be written to the storage",
    ),
    (
        Counter,
        "digits_trainer_database_repairs_total",
        "times that another program removed the file of the job database and the trainer wrote it again",
    ),
    (
        Counter,
        "digits_trainer_retention_checkpoints_total",
        "checkpoints that retention buried (marked for deletion), spared (unmarked) or deleted",
    ),
    (
        Counter,
        "digits_trainer_retention_failures_total",
        "retention sweeps that failed; the next sweep tries again",
    ),
];

/// Describes every metric to the recorder.
pub(super) fn describe() {
    for &(kind, name, help) in HELP {
        match kind {
            Counter => describe_counter!(name, help),
            Gauge => describe_gauge!(name, help),
            Histogram => describe_histogram!(name, help),
        }
    }
}
