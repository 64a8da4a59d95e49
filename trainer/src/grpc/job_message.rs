//! A job as a protobuf message.

use crate::{
    job::{JobState, Publishing},
    store::Job,
    wire,
};
use digits_checkpoint::messages::{evaluation, previous_primary, promotion};
use digits_proto::{
    json::{self, NoJsonForm},
    v1,
};
use prost::Message as _;
use serde_json::Value;

/// The message of a job that has done `step` steps, which may be more than the database has while
/// it runs, and whose checkpoint may wait for the storage.
#[must_use]
pub(crate) fn job_message(job: &Job, step: u64, publishing: Option<&Publishing>) -> v1::Job {
    let newest = job.published.newest.as_ref();
    v1::Job {
        job_id: job.id.to_string(),
        request_id: job.request_id.clone(),
        requested: spec(job, &job.requested),
        resolved: spec(job, &job.resolved),
        state: wire::state(match job.waiting {
            Some(_) => JobState::Queued,
            None => job.state,
        })
        .into(),
        created_at: Some(wire::timestamp(job.created_us)),
        started_at: job.started_us.map(wire::timestamp),
        finished_at: job.finished_us.map(wire::timestamp),
        error: job.error.clone(),
        progress: Some(v1::JobProgress {
            epoch: epoch(job, step),
            epochs: job.epochs,
            step,
            steps: job.steps,
            latest: job.latest.as_ref().map(wire::row),
            train_seconds: job.train_seconds,
            validation_seconds: job.validation_seconds,
        }),
        network: Some(wire::network(&job.network)),
        device: job.device.clone(),
        checkpoint_ids: job.published.ids.clone(),
        test: job.test.as_ref().map(evaluation),
        cancel_requested: job.cancel_requested,
        last_event_sequence: job.last_event,
        attempts: job.attempts,
        dataset_digest: job.dataset_digest.clone(),
        checkpoint_count: job.published.count,
        promotion: newest.map(|(id, decision)| promotion(*id, decision)),
        publishing: publishing.map(wire::publishing),
        waiting: job.waiting.as_ref().map(|waiting| v1::Waiting {
            reason: waiting.reason.clone(),
            since: Some(wire::timestamp(waiting.since_us)),
        }),
        replaced: job.published.replaced.as_ref().map(previous_primary),
    }
}

/// A finished job as JSON, as `digits-trainer run --json` prints it.
///
/// # Errors
/// [`NoJsonForm`] when a value is beyond what protobuf's JSON allows.
pub fn job_json(job: &Job) -> Result<Value, NoJsonForm> {
    json::write(&job_message(job, job.step, None))
}

/// A stored spec. One that cannot be decoded is left out, so that the rest of the job is shown; the
/// worker that runs the job logs it as an error.
fn spec(job: &Job, stored: &[u8]) -> Option<v1::JobSpec> {
    v1::JobSpec::decode(stored)
        .inspect_err(|error| {
            tracing::debug!(job = %job.id, %error, "a stored spec cannot be read");
        })
        .ok()
}

/// The epoch that `step` lies in.
fn epoch(job: &Job, step: u64) -> u32 {
    let per_epoch = job.steps / u64::from(job.epochs.max(1));
    if step == 0 || per_epoch == 0 {
        return job.epoch;
    }
    u32::try_from(step.div_ceil(per_epoch)).map_or(job.epochs, |epoch| epoch.min(job.epochs))
}
