//! `digits-trainer run`: one job from its spec to its end, with the service's own database, worker and publisher,
//! and without its ports.
//!
//! For schedulers: progress is the log, the result is the exit code. With a state folder of its own that outlives
//! the process, the same spec run again goes on where the last run was stopped.

mod config;
mod progress;

pub use config::RunConfig;

use crate::{
    grpc,
    intake::{Intake, Refused},
    job::JobState,
    lifecycle::{close, open, recover, stop_workers},
    metrics::PREFIX,
    store::Job,
    wire::SpecMessage,
    worker::{Tools, Workers},
};
use anyhow::Context as _;
use digits_checkpoint::sha256_hex;
use digits_proto::v1;
use digits_service::{Error, exit};
use digits_telemetry::{liveness::Liveness, supervisor::Supervisor};
use futures::StreamExt as _;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Runs of one spec in one state folder that may fail one after another.
const RUNS_AT_MOST: u32 = 1_000;

/// Trains the job of `config` and returns it as it is then: ended, or put back when `stop` was cancelled.
///
/// # Errors
/// [`Error::Config`] for a spec that is refused, with every field of it; else what could not be opened.
pub async fn run(config: &RunConfig, stop: CancellationToken) -> anyhow::Result<v1::Job> {
    let reading = config.clone();
    let spec = tokio::task::spawn_blocking(move || reading.job()).await?;
    let spec = spec.map_err(Error::Config)?;
    // Gone when this returns, whatever comes.
    let (_temporary, state) = state(config)?;
    let config = config.service(&state)?;
    let traces = config.service.requests.traces("digits-trainer");
    let traces = traces.map_err(Error::from)?;
    let supervisor = Supervisor::new(PREFIX, Liveness::default());
    let (tools, workers) = open(&config, supervisor, traces.clone()).await?;
    recover(&tools).await?;
    let workers = Workers::start(&tools, workers).context("no thread for a worker")?;
    let intake = tools.intake(workers.wake(), config.trainer.queue_capacity.into());
    let watched = submit_and_watch(&tools, &intake, spec, &stop).await;
    stop_workers(workers, &tools.store, config.service.shutdown_grace).await;
    let job = match watched {
        Ok(job) => tools.store.job(job.id).await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    close(tools).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    let job = job?;
    Ok(grpc::job_message(&job, job.step))
}

/// The error of [`run`] with its exit code.
#[must_use]
pub fn error(error: anyhow::Error) -> Error {
    error
        .downcast()
        .unwrap_or_else(|error| Error::unavailable("the job cannot run")(error))
}

/// What the process exits with for a job.
#[must_use]
pub fn exit_code(job: &v1::Job) -> u8 {
    match job.state() {
        v1::JobState::Succeeded => 0,
        v1::JobState::Failed | v1::JobState::Cancelled => exit::FAILED,
        v1::JobState::Queued | v1::JobState::Running | v1::JobState::Unspecified => exit::TEMPORARY,
    }
}

/// Why a job did not succeed, in a line.
#[must_use]
pub fn reason(job: &v1::Job) -> String {
    let id = &job.job_id;
    match job.state() {
        v1::JobState::Failed => format!("job {id} failed: {}", job.error),
        v1::JobState::Cancelled => format!("job {id} was cancelled"),
        _ => format!("job {id} was stopped before its end"),
    }
}

fn state(config: &RunConfig) -> anyhow::Result<(Option<tempfile::TempDir>, PathBuf)> {
    if let Some(state) = &config.state {
        return Ok((None, state.clone()));
    }
    let folder = tempfile::Builder::new()
        .prefix("digits-trainer-")
        .tempdir()
        .context("no temporary folder for the state: name one with --state")?;
    let path = folder.path().to_owned();
    Ok((Some(folder), path))
}

async fn submit_and_watch(
    tools: &Tools,
    intake: &Intake,
    spec: SpecMessage,
    stop: &CancellationToken,
) -> anyhow::Result<Job> {
    let job = submit(intake, spec).await?;
    if job.state == JobState::Succeeded {
        tracing::info!(job = %job.id, "an earlier run of this spec has succeeded");
        return Ok(job);
    }
    // Of a job that an earlier run began, only what is new.
    let seen = if job.attempts == 0 { 0 } else { job.last_event };
    let mut events = grpc::events(tools.store.clone(), job.id, seen, stop.clone());
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => progress::log(&event),
            Err(_) if stop.is_cancelled() => break,
            Err(status) => anyhow::bail!("{}", status.message()),
        }
    }
    Ok(job)
}

/// Submits the job under an id that its spec makes, so that a run after a crash or a stop finds it again. One that
/// has failed is made anew.
async fn submit(intake: &Intake, spec: SpecMessage) -> anyhow::Result<Job> {
    let digest = sha256_hex(&spec.key());
    for number in 1..=RUNS_AT_MOST {
        let accepted = intake.accept(format!("run-{digest}-{number}"), spec.clone(), None);
        let job = accepted.await.map_err(told)?;
        if !matches!(job.state, JobState::Failed | JobState::Cancelled) {
            return Ok(job);
        }
    }
    anyhow::bail!("{RUNS_AT_MOST} runs of this spec have failed in this state folder: use another")
}

/// The reasons of a refused spec in one line, as the client of the service reads them.
fn told(refused: Refused) -> anyhow::Error {
    match refused {
        Refused::Invalid(found) => {
            let found: Vec<String> = found
                .into_iter()
                .map(|violation| format!("{}: {}", violation.field, violation.message))
                .collect();
            Error::Config(found.join("; ")).into()
        }
        error => error.into(),
    }
}
