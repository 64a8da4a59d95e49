//! `digits-trainer run`: runs one job from a spec file, with the database and the worker of the
//! service and without its ports.
//!
//! For schedulers: progress is the log, the result is the exit code. With a state folder that
//! outlives the process, running the same spec again resumes the job.

mod config;
mod progress;

pub use config::RunConfig;

use crate::{
    job::JobState,
    lifecycle::{check_storage, close, open, recover, stop_workers, submitter},
    metrics::PREFIX,
    store::{Job, Survivors},
    submission::{Promotions, SubmitError, Submitter, SubmittingClient},
    watch,
    wire::{self, SpecMessage},
    worker::{Execution, WorkerContext, Workers, mark_unfinished},
};
use anyhow::Context as _;
use digits_checkpoint::sha256_hex;
use digits_service::{Error, exit};
use digits_telemetry::{liveness::Liveness, supervisor::Supervisor};
use futures::StreamExt as _;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Failed runs of one spec in one state folder.
const MAX_RUNS: u32 = 1_000;

/// Runs the job of `config` and returns it: finished, or released into the queue when `stop` was
/// cancelled.
///
/// # Errors
/// [`Error::Config`] for a refused spec, with every bad field; else what could not be opened.
pub async fn run(config: &RunConfig, stop: CancellationToken) -> anyhow::Result<Job> {
    let reading = config.clone();
    let spec = tokio::task::spawn_blocking(move || reading.job()).await??;
    // Deleted when this returns.
    let (_temporary, state) = state(config)?;
    let config = config.service(&state)?;
    let traces = config.service.requests.traces("digits-trainer");
    let traces = traces.map_err(Error::from)?;
    let supervisor = Supervisor::new(PREFIX, Liveness::default());
    let (services, workers) = open(&config, supervisor, traces.clone()).await?;
    // Whoever schedules this process starts it again.
    if let Some(outage) = check_storage(&services).await? {
        return Err(Error::unavailable("--storage cannot be used")(outage).into());
    }
    recover(&services, &Execution::Local, Survivors::Nothing).await?;
    mark_unfinished(&services.store, &services.storage).await;
    let workers = Workers::start(services.clone(), workers, Execution::Local)
        .await
        .context("no thread for a worker")?;
    let submitter = submitter(&services, workers.wake(), &config);
    let watched = submit_and_watch(&services, &submitter, spec, &stop).await;
    stop_workers(workers, &services.store, config.service.shutdown_grace).await;
    let job = match watched {
        Ok(job) => services
            .store
            .job(job.id)
            .await
            .map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    close(services).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    job
}

/// The error of [`run`] with its exit code.
#[must_use]
pub fn error(error: anyhow::Error) -> Error {
    error
        .downcast()
        .unwrap_or_else(|error| Error::unavailable("the job cannot run")(error))
}

/// The exit code of the process for a job.
#[must_use]
pub fn exit_code(job: &Job) -> u8 {
    match job.state {
        JobState::Succeeded => 0,
        JobState::Failed | JobState::Cancelled => exit::FAILED,
        JobState::Queued | JobState::Running => exit::TEMPORARY,
    }
}

/// Why a job did not succeed, in one line.
#[must_use]
pub fn reason(job: &Job) -> String {
    let id = job.id;
    match job.state {
        JobState::Failed => format!("job {id} failed: {}", job.error),
        JobState::Cancelled => format!("job {id} was cancelled"),
        _ => format!("job {id} was stopped before it finished"),
    }
}

fn state(config: &RunConfig) -> anyhow::Result<(Option<tempfile::TempDir>, PathBuf)> {
    if let Some(state) = &config.state {
        return Ok((None, state.clone()));
    }
    let folder = tempfile::Builder::new()
        .prefix("digits-trainer-")
        .tempdir()
        .context("no temporary folder can be created for the state: set --state")?;
    let path = folder.path().to_owned();
    Ok((Some(folder), path))
}

async fn submit_and_watch(
    services: &WorkerContext,
    submitter: &Submitter,
    spec: SpecMessage,
    stop: &CancellationToken,
) -> anyhow::Result<Job> {
    let job = submit(submitter, spec).await?;
    if job.state == JobState::Succeeded {
        tracing::info!(job = %job.id, "an earlier run of this spec has succeeded");
        return Ok(job);
    }
    // Of a job that an earlier run started, only the new events.
    let seen = if job.attempts == 0 { 0 } else { job.last_event };
    let store = services.store.clone();
    let mut events = std::pin::pin!(watch::events(store, job.id, seen, stop.clone()));
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => progress::log(&wire::event_from(&event.message)?),
            Err(_) if stop.is_cancelled() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(job)
}

/// Submits the job under a request id derived from its spec, so that a run after a crash or a stop
/// resumes it. A failed job is submitted again.
async fn submit(submitter: &Submitter, spec: SpecMessage) -> anyhow::Result<Job> {
    let digest = sha256_hex(&spec.key());
    for number in 1..=MAX_RUNS {
        let request_id = format!("run-{digest}-{number}");
        let client = SubmittingClient {
            name: String::new(),
            promotions: Promotions::Allowed,
        };
        let accepted = submitter.submit(request_id, spec.clone(), None, client);
        let job = accepted.await.map_err(refused)?;
        if !matches!(job.state, JobState::Failed | JobState::Cancelled) {
            return Ok(job);
        }
    }
    anyhow::bail!(
        "{MAX_RUNS} runs of this spec have failed in this state folder: set another --state"
    )
}

/// The violations of a refused spec in one line.
fn refused(error: SubmitError) -> anyhow::Error {
    match error {
        SubmitError::Invalid(found) => {
            let found: Vec<String> = found
                .into_iter()
                .map(|violation| format!("{}: {}", violation.field, violation.message))
                .collect();
            Error::Config(found.join("; ")).into()
        }
        error => error.into(),
    }
}
