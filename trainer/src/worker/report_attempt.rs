//! Trains one attempt in a worker process, and reports its outcome.

use super::{
    assignment::Assignment,
    attempt_output::AttemptOutput,
    error::{JobError, PublishError},
    executor::AttemptEnd,
    outage::Outages,
    output::Output,
    running::{RunningJob, StopReason},
    services::TrainingServices,
    train_attempt::train_attempt,
};
use crate::{
    attempt::{AttemptRecord, Report, WorkerEnd},
    datasets::Catalog,
    job::{JobId, JobOutcome, JobState},
    metrics::Metrics,
    train::{Device, TrainError},
};
use bytes::Bytes;
use digits_checkpoint::{Storage, StorageError, runs::Attempt};
use digits_telemetry::panic_text;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::{runtime::Handle, task::spawn_blocking};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Interval of the reports of progress between two rows of the curves.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// One attempt, and what its worker needs.
pub struct WorkerTask {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: Attempt,
    /// Its record.
    pub record: AttemptRecord,
    /// Storage of the reports and of the checkpoints that jobs start from.
    pub storage: Storage,
    /// Data sets.
    pub catalog: Arc<Catalog>,
    /// Device of a job whose device is `auto`.
    pub device: Device,
    /// CPU threads for the job.
    pub threads: usize,
    /// Time between two bundles.
    pub bundle_interval: Duration,
    /// Longest time for which the job waits while its output cannot be written.
    pub max_outage: Duration,
}

/// Why an attempt was not begun, or its outcome not reported.
#[derive(Debug, thiserror::Error)]
pub enum NotReported {
    /// The storage fails.
    #[error("the storage of the worker fails: {0}")]
    Storage(String),
    /// Another worker has begun the attempt.
    #[error("another worker has begun this attempt")]
    Taken,
}

impl From<PublishError> for NotReported {
    fn from(error: PublishError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// How an attempt ended, as it was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedEnd {
    /// The job is over in this state.
    Finished(JobState),
    /// The worker was stopped before the end.
    Stopped,
}

/// Reads the record of an attempt; outlasts an outage of the storage for up to `max_outage`.
/// Cancel-safe.
///
/// # Errors
/// [`NotReported`] when the storage fails for too long.
pub async fn read_record(
    job: JobId,
    attempt: &Attempt,
    storage: &Storage,
    max_outage: Duration,
) -> Result<Option<Bytes>, NotReported> {
    let running = RunningJob::default();
    let outages = Outages::new(job, &running, None, max_outage).of_records();
    let read = || async {
        let record = attempt.record(storage);
        record.await.map_err(PublishError::Storage)
    };
    Ok(outages.outlast(read).await?)
}

/// Trains an attempt to its end, or until `stop` is cancelled, and reports its outcome.
///
/// # Errors
/// [`NotReported`] when another worker reports for the attempt, or the storage fails for too long.
pub async fn report_attempt(
    task: WorkerTask,
    stop: CancellationToken,
) -> Result<ReportedEnd, NotReported> {
    let running = Arc::<RunningJob>::default();
    let WorkerTask {
        job,
        attempt,
        record,
        storage,
        ..
    } = &task;
    let output = AttemptOutput::new(
        *job,
        attempt.clone(),
        storage.clone(),
        record.resume.clone(),
    );
    let output = Arc::new(output);
    let outages = Outages::new(*job, &running, None, task.max_outage);
    let opened = Report::Opened {
        nonce: Uuid::now_v7().to_string(),
    };
    match output.report(&running, &outages, opened).await {
        Err(PublishError::Storage(StorageError::Conflict { .. })) => {
            return Err(NotReported::Taken);
        }
        opened => opened?,
    }
    let beside = CancellationToken::new();
    let stopping = stop_with(Arc::clone(&running), stop, beside.clone());
    let progress = report_progress(&running, &output, &outages, &beside);
    let training = async {
        let end = train(&task, Arc::clone(&output), Arc::clone(&running)).await;
        beside.cancel();
        end
    };
    let (end, (), ()) = tokio::join!(training, progress, stopping);
    let reported = match &end {
        WorkerEnd::Finished { outcome, .. } => ReportedEnd::Finished(outcome.state),
        WorkerEnd::Stopped(_) => ReportedEnd::Stopped,
    };
    output
        .report(&running, &outages, Report::Ended(end))
        .await?;
    Ok(reported)
}

/// Stops the job when `stop` is cancelled.
async fn stop_with(running: Arc<RunningJob>, stop: CancellationToken, until: CancellationToken) {
    if until.run_until_cancelled(stop.cancelled()).await.is_some() {
        running.stop(StopReason::Shutdown);
    }
}

/// Reports the steps done, so that watchers see a job with rare rows progress.
async fn report_progress(
    running: &RunningJob,
    output: &AttemptOutput,
    outages: &Outages<'_>,
    until: &CancellationToken,
) {
    let mut reported = 0;
    let pause = || tokio::time::sleep(PROGRESS_INTERVAL);
    while until.run_until_cancelled(pause()).await.is_some() {
        let step = running.step();
        if step != reported {
            // The next report fails too, and with it the job.
            let _ = output.report(running, outages, Report::Progress).await;
            reported = step;
        }
    }
}

/// Trains on a thread of its own.
async fn train(
    task: &WorkerTask,
    output: Arc<AttemptOutput>,
    running: Arc<RunningJob>,
) -> WorkerEnd {
    let job = task.job;
    let services = TrainingServices {
        storage: task.storage.clone(),
        catalog: Arc::clone(&task.catalog),
        bundle_interval: task.bundle_interval,
        max_outage: task.max_outage,
        metrics: Metrics::new(0, 1),
        runtime: Handle::current(),
    };
    let (record, device, threads) = (task.record.clone(), task.device, task.threads);
    let training = spawn_blocking(move || {
        let assignment = Assignment {
            job,
            attempts: record.attempts,
            resolved: &record.resolved,
            spent: record.spent,
            device,
            threads,
        };
        let output = Output::Reports(output);
        let trained = AssertUnwindSafe(|| train_attempt(&services, output, &assignment, &running));
        catch_unwind(trained)
            .unwrap_or_else(|panic| Err(JobError::Panic(panic_text(&*panic).to_owned())))
    });
    let trained = training
        .await
        .unwrap_or_else(|error| Err(JobError::Panic(error.to_string())));
    match trained {
        Ok(AttemptEnd::Finished(outcome)) => WorkerEnd::Finished {
            outcome,
            loss_not_finite: false,
        },
        Ok(AttemptEnd::Released(outcome)) => WorkerEnd::Stopped(outcome),
        // Only a launcher sees one.
        Ok(AttemptEnd::Crashed | AttemptEnd::Evicted(_) | AttemptEnd::Left) => {
            WorkerEnd::Stopped(JobOutcome::cancelled())
        }
        Err(error) => {
            error.log(job);
            WorkerEnd::Finished {
                loss_not_finite: matches!(error, JobError::Train(TrainError::NotFinite { .. })),
                outcome: JobOutcome::failed(error.client_message()),
            }
        }
    }
}
