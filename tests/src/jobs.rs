//! Submitting a job and waiting for its end.

use anyhow::{Context as _, Result, bail};
use digits_proto::v1::{
    CurveRow, GetHistoryRequest, GetJobRequest, Job, JobSpec, JobState, SubmitJobRequest,
    WatchJobRequest, WatchJobResponse, training_service_client::TrainingServiceClient,
    watch_job_response::Event,
};
use tonic::transport::Channel;
use uuid::Uuid;

type Training = TrainingServiceClient<Channel>;

/// Submits a job under a new request id.
pub async fn submit(training: &mut Training, spec: JobSpec) -> Result<Job> {
    let request = SubmitJobRequest {
        request_id: Uuid::now_v7().to_string(),
        spec: Some(spec),
    };
    training
        .submit_job(request)
        .await?
        .into_inner()
        .job
        .context("a job")
}

/// Watches a job from its first event to its end; `see` is shown every event.
pub async fn watch(
    training: &mut Training,
    job_id: &str,
    mut see: impl FnMut(&WatchJobResponse),
) -> Result<Job> {
    let request = WatchJobRequest {
        job_id: job_id.to_owned(),
        after_sequence: 0,
    };
    let mut events = training.watch_job(request).await?.into_inner();
    let mut sequence = 0;
    while let Some(event) = events.message().await? {
        if matches!(event.event, Some(Event::Heartbeat(_))) {
            continue;
        }
        anyhow::ensure!(
            event.sequence == sequence + 1,
            "event {} after {sequence}",
            event.sequence
        );
        sequence = event.sequence;
        see(&event);
        if matches!(event.event, Some(Event::Finished(_))) {
            return get(training, job_id).await;
        }
    }
    bail!("the watch ended without a finished event")
}

/// One job.
pub async fn get(training: &mut Training, job_id: &str) -> Result<Job> {
    let request = GetJobRequest {
        job_id: job_id.to_owned(),
    };
    training
        .get_job(request)
        .await?
        .into_inner()
        .job
        .context("a job")
}

/// Submits a job, waits for its end and fails unless it succeeded.
pub async fn run(training: &mut Training, spec: JobSpec) -> Result<Job> {
    let submitted = submit(training, spec).await?;
    let job = watch(training, &submitted.job_id, |_| {}).await?;
    anyhow::ensure!(
        job.state() == JobState::Succeeded,
        "the job ended as {:?}: {}",
        job.state(),
        job.error
    );
    Ok(job)
}

/// Waits for further events of a job, which are rows while it is trained; returns its state then.
pub async fn further_rows(training: &mut Training, job_id: &str, rows: usize) -> Result<JobState> {
    let request = WatchJobRequest {
        job_id: job_id.to_owned(),
        after_sequence: get(training, job_id).await?.last_event_sequence,
    };
    let mut events = training.watch_job(request).await?.into_inner();
    for _ in 0..rows {
        events.message().await?;
    }
    Ok(get(training, job_id).await?.state())
}

/// All rows of a job's curves.
pub async fn history(training: &mut Training, job_id: &str) -> Result<Vec<CurveRow>> {
    let request = GetHistoryRequest {
        job_id: job_id.to_owned(),
        max_rows: 10_000,
    };
    Ok(training.get_history(request).await?.into_inner().rows)
}
