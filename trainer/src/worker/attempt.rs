//! One attempt at a job, from the queue to its outcome or back into the queue.

use super::{
    cleared_runs::clear_runs,
    error::JobError,
    executor::{AttemptEnd, Executor},
    running::{RunningJob, StopReason},
    slot::WorkerSlot,
    unfinished::mark_unfinished,
};
use crate::{
    job::{JobId, JobState},
    metrics::AttemptEndLabel,
    store::{Crash, Job, JobOutcome, MAX_CRASHES, StoreError},
};
use digits_telemetry::{
    panic_text,
    traces::{ActiveSpan, KeyValue},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

/// Pause between two attempts to write a job's outcome.
const OUTCOME_RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Has a claimed job run by `executor`, and writes what comes of it.
pub(super) fn run_job(slot: &WorkerSlot, executor: &dyn Executor, job: &Job) {
    let begun = Instant::now();
    let span = begin_span(slot, job);
    let registry = &slot.context.running;
    let running = registry.add(job.id);
    if slot.shutdown.load(Ordering::Acquire) {
        running.stop(StopReason::Shutdown);
    }
    let end = catch_unwind(AssertUnwindSafe(|| executor.execute(slot, job, &running)))
        .unwrap_or_else(|panic| Err(JobError::Panic(panic_text(&*panic).to_owned())))
        .unwrap_or_else(|error| {
            error.log(job.id);
            AttemptEnd::Finished(JobOutcome::failed(error.client_message()))
        });
    registry.remove(job.id);
    if let Some(outcome) = outcome(&end) {
        slot.context.metrics.attempts.ended(outcome);
    }
    if let Some(span) = span {
        end_span(span, &end, running.step());
    }
    let (ends_job, left) = (
        matches!(end, AttemptEnd::Finished(_)),
        matches!(end, AttemptEnd::Left),
    );
    if !ends_job && !left {
        // Before another thread can claim the job for its next attempt.
        executor.forget(job.id);
    }
    let over = write_end(slot, job, &running, end, begun);
    if ends_job {
        executor.forget(job.id);
    }
    if let Some(state) = over {
        conclude(slot, job.id, state, begun.elapsed());
    }
}

fn outcome(end: &AttemptEnd) -> Option<AttemptEndLabel> {
    Some(match end {
        AttemptEnd::Finished(_) => AttemptEndLabel::Finished,
        AttemptEnd::Released(_) => AttemptEndLabel::Released,
        AttemptEnd::Evicted(_) => AttemptEndLabel::Evicted,
        AttemptEnd::Crashed => AttemptEndLabel::Died,
        AttemptEnd::Left => return None,
    })
}

/// Writes what comes of an attempt; the state of a job that is over.
fn write_end(
    slot: &WorkerSlot,
    job: &Job,
    running: &RunningJob,
    end: AttemptEnd,
    begun: Instant,
) -> Option<JobState> {
    match end {
        AttemptEnd::Finished(outcome) => {
            tracing::info!(
                job = %job.id,
                state = outcome.state.as_str(),
                error = outcome.error,
                seconds = begun.elapsed().as_secs_f64(),
                "job finished"
            );
            let write = || slot.context.store.finish(job.id, outcome.clone());
            write_outcome(slot, job.id, write)?;
            Some(outcome.state)
        }
        AttemptEnd::Released(_) => {
            tracing::info!(job = %job.id, step = running.step(), "job released into the queue");
            if let Err(error) = slot.context.store.release(job.id, running.spent()) {
                // It stays marked as running, and the next start resumes it.
                tracing::error!(job = %job.id, %error, "job could not be released into the queue");
            }
            None
        }
        AttemptEnd::Evicted(reason) => {
            tracing::warn!(job = %job.id, reason, step = running.step(), "job released into the queue: its worker was evicted");
            write_outcome(slot, job.id, || {
                slot.context.store.release(job.id, running.spent())
            })?;
            None
        }
        AttemptEnd::Left => {
            tracing::info!(job = %job.id, step = running.step(), "job goes on in its worker while the trainer is away");
            None
        }
        AttemptEnd::Crashed => {
            match write_outcome(slot, job.id, || slot.context.store.crashed(job.id))? {
                Crash::Resumed => {
                    tracing::warn!(job = %job.id, "job resumed: its worker process died");
                    None
                }
                Crash::Abandoned => {
                    tracing::error!(job = %job.id, "job abandoned after {MAX_CRASHES} consecutive deaths of its worker process");
                    Some(JobState::Failed)
                }
                Crash::Cancelled => Some(JobState::Cancelled),
            }
        }
    }
}

fn begin_span(slot: &WorkerSlot, job: &Job) -> Option<ActiveSpan> {
    slot.context.traces.as_ref().map(|traces| {
        let attributes = vec![
            KeyValue::new("digits.job_id", job.id.to_string()),
            KeyValue::new("digits.attempt", i64::from(job.attempts)),
        ];
        traces.begin_caused(&job.traceparent, "train", attributes)
    })
}

fn end_span(span: ActiveSpan, end: &AttemptEnd, step: u64) {
    let state = match end {
        AttemptEnd::Finished(outcome) => outcome.state,
        AttemptEnd::Left => JobState::Running,
        AttemptEnd::Released(_) | AttemptEnd::Crashed | AttemptEnd::Evicted(_) => JobState::Queued,
    };
    let step = i64::try_from(step).unwrap_or(i64::MAX);
    let attributes = vec![
        KeyValue::new("digits.job_state", state.as_str()),
        KeyValue::new("digits.step", step),
    ];
    span.end(attributes, state == JobState::Failed);
}

/// Writes a job's outcome, and retries while the database fails, as on a full disk: a job that is
/// over must not be trained again. During a shutdown the job stays marked as running instead, and
/// the next start resumes it; `None` then.
fn write_outcome<T>(
    slot: &WorkerSlot,
    job: JobId,
    write: impl Fn() -> Result<T, StoreError>,
) -> Option<T> {
    for attempt in 1_u32.. {
        match write() {
            Ok(written) => return Some(written),
            Err(error) if slot.shutdown.load(Ordering::Acquire) => {
                tracing::error!(%job, %error, "the outcome of a job could not be written");
                return None;
            }
            Err(error) if attempt == 1 => {
                tracing::error!(%job, %error, "the outcome of a job could not be written; retrying");
            }
            Err(_) => {}
        }
        thread::sleep(OUTCOME_RETRY_PAUSE);
    }
    None
}

/// Removes what a job needed that is over, marks its checkpoints if it did not succeed, and counts
/// it.
fn conclude(slot: &WorkerSlot, job: JobId, state: JobState, elapsed: Duration) {
    let context = &slot.context;
    context.bundles.remove(job);
    let cleaning = async {
        if state != JobState::Succeeded {
            mark_unfinished(&context.store, &context.storage).await;
        }
        clear_runs(&context.store, &context.storage).await;
    };
    context.runtime.block_on(cleaning);
    context
        .metrics
        .job_finished(&job.to_string(), state.into(), elapsed);
}
