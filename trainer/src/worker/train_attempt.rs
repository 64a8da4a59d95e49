//! Trains jobs on the threads of the workers.

use super::{
    error::JobError,
    executor::{AttemptEnd, Executor},
    job_run::JobRun,
    observer::JobObserver,
    outage::Outages,
    parent,
    running::{RunningJob, StopReason},
    slot::WorkerSlot,
};
use crate::{
    job::{JobId, JobState},
    metrics::{JobInfo, JobSeries},
    spec::{self, JobPlan, JobRequest},
    store::{Job, JobOutcome},
    train::{self, Finished, Outcome, TrainError},
    wire::SpecMessage,
};
use digits_checkpoint::serving::{PromotionRules, Scope};
use std::sync::Arc;

/// Trains each job on the thread of its worker.
pub(super) struct Local;

impl Executor for Local {
    fn execute(
        &self,
        slot: &WorkerSlot,
        job: &Job,
        running: &Arc<RunningJob>,
    ) -> Result<AttemptEnd, JobError> {
        prepare_and_train(slot, job, running)
    }
}

fn prepare_and_train(
    slot: &WorkerSlot,
    job: &Job,
    running: &Arc<RunningJob>,
) -> Result<AttemptEnd, JobError> {
    let context = &slot.context;
    let spec = SpecMessage::decode(&job.resolved)?;
    let request = spec.request();
    tracing::info!(job = %job.id, name = request.name, attempt = job.attempts, "job starts");
    let mut plan = plan_on(slot, &request)?;
    // Before the training: a checkpoint whose manifest cannot be written would be lost.
    let lineage = spec.lineage()?;
    let data = context.catalog.load(&plan.dataset);
    let data = data.map_err(|error| JobError::Dataset {
        name: plan.dataset_name.clone(),
        source: Box::new(error),
    })?;
    if let Some(parent) = plan.parent {
        let loading = parent::load_weights(context, running, parent);
        match (context.runtime.block_on(loading), running.stop_reason()) {
            (Ok(weights), _) => plan.train.initial_weights = Some(weights),
            (Err(_), Some(StopReason::Shutdown)) => return Ok(AttemptEnd::Released),
            (Err(_), Some(StopReason::Cancel)) => {
                return Ok(AttemptEnd::Finished(JobOutcome::cancelled()));
            }
            (Err(error), _) => return Err(error),
        }
    }
    let series = context
        .metrics
        .job_begins(job_info(job.id, request.name.clone(), &plan));
    let device = plan.train.device.to_string();
    running.start_clock(job.spent, plan.deadline);
    let outages = Outages::new(job.id, running, context);
    let begin = || {
        let (device, digest) = (device.clone(), data.digest.clone());
        context.store.begin(job.id, device, digest)
    };
    let begun = context.runtime.block_on(outages.outlast(begin));
    match (begun, running.stop_reason()) {
        (Ok(true), _) => running.stop(StopReason::Cancel),
        (Ok(false), _) => {}
        (Err(_), Some(StopReason::Shutdown)) => return Ok(AttemptEnd::Released),
        (Err(_), Some(StopReason::Cancel)) => {
            return Ok(AttemptEnd::Finished(JobOutcome::cancelled()));
        }
        (Err(error), _) => return Err(error.into()),
    }
    let rules = PromotionRules {
        policy: plan.promotion,
        scope: scope(job)?,
        guard: context.promotion_guard,
    };
    let run = Arc::new(JobRun {
        context: context.clone(),
        job: job.id,
        name: request.name,
        plan,
        rules,
        spec: lineage,
        data,
        running: Arc::clone(running),
    });
    train_job(&run, &series)
}

/// What the checkpoints of the job may replace: its request names the model, or takes the default.
fn scope(job: &Job) -> Result<Scope, JobError> {
    let requested = SpecMessage::decode(&job.requested)?.request();
    Ok(match requested.model {
        Some(_) => Scope::Any,
        None => Scope::SameData,
    })
}

/// Plan of the job on this machine.
fn plan_on(slot: &WorkerSlot, request: &JobRequest) -> Result<JobPlan, JobError> {
    let mut plan = spec::plan(request, &slot.context.catalog)?;
    if train::is_auto(request.device.as_deref().unwrap_or_default()) {
        plan.train.device = slot.device;
    }
    plan.train.max_threads = slot.threads;
    Ok(plan)
}

fn job_info(job: JobId, name: String, plan: &JobPlan) -> JobInfo {
    JobInfo {
        job_id: job.to_string(),
        name,
        model: plan.model.to_string(),
        dataset: plan.dataset_name.clone(),
        device: plan.train.device.to_string(),
        preset: plan.preset.clone(),
    }
}

fn train_job(run: &Arc<JobRun>, series: &JobSeries) -> Result<AttemptEnd, JobError> {
    let mut observer = JobObserver::new(run, series);
    let trained = train_from_newest_bundle(run, &mut observer);
    let written = observer.close();
    series.end();
    match &trained {
        Ok(outcome) => {
            if let Some(test) = &outcome.test {
                series.set_test(test.loss, test.accuracy());
            }
        }
        Err(TrainError::NotFinite { .. }) => run.context.metrics.loss_not_finite(),
        Err(_) => {}
    }
    conclude(run, trained, written)
}

/// Trains from the newest bundle that can be used, else from the start.
fn train_from_newest_bundle(
    run: &JobRun,
    observer: &mut JobObserver<'_>,
) -> Result<Outcome, TrainError> {
    let (job, context) = (run.job, &run.context);
    loop {
        let found = context.bundles.read(job, |reason| {
            context.metrics.bundle_refused();
            tracing::warn!(%job, reason, "a resume bundle is damaged; resuming from the previous one or from the start");
        });
        let resume = found.as_ref().map(|found| found.bytes.as_slice());
        let trained = train::run(&run.plan.train, &run.data, resume, observer);
        let (Err(TrainError::Bundle(reason)), Some(found)) = (&trained, &found) else {
            return trained;
        };
        context.metrics.bundle_refused();
        tracing::warn!(%job, reason, "a resume bundle does not fit; resuming from the previous one or from the start");
        context.bundles.discard(found);
    }
}

fn conclude(
    run: &JobRun,
    trained: Result<Outcome, TrainError>,
    written: Result<(), JobError>,
) -> Result<AttemptEnd, JobError> {
    let stop = run.running.stop_reason();
    let completed = matches!(&trained, Ok(outcome) if outcome.finished == Finished::Completed);
    match (stop, &written) {
        (Some(StopReason::Shutdown), Ok(())) if completed => {}
        (Some(StopReason::Shutdown), written) => {
            if let Err(error) = written {
                error.log_lost_output(run.job);
            }
            return Ok(AttemptEnd::Released);
        }
        // A stop also ends the retries of the publisher, so its failure is not the reason.
        (Some(StopReason::Cancel), Err(error)) => {
            error.log_lost_output(run.job);
            return Ok(AttemptEnd::Finished(JobOutcome::cancelled()));
        }
        (Some(StopReason::Deadline), Err(error)) => {
            error.log_lost_output(run.job);
            let message = deadline_message(&run.plan, run.running.step());
            return Ok(AttemptEnd::Finished(JobOutcome::failed(message)));
        }
        _ => {}
    }
    // First, because it is the cause of the other error.
    written?;
    let outcome = trained?;
    let (state, error) = match (outcome.finished, stop) {
        (Finished::Completed, _) => (JobState::Succeeded, String::new()),
        (Finished::Stopped, Some(StopReason::Deadline)) => {
            (JobState::Failed, deadline_message(&run.plan, outcome.steps))
        }
        (Finished::Stopped, _) => (JobState::Cancelled, String::new()),
    };
    Ok(AttemptEnd::Finished(JobOutcome {
        state,
        error,
        test: outcome.test,
        step: Some(outcome.steps),
        train_seconds: outcome.train_seconds,
        validation_seconds: outcome.validation_seconds,
    }))
}

fn deadline_message(plan: &JobPlan, step: u64) -> String {
    format!(
        "the deadline of {} seconds passed at step {step} of {}",
        plan.deadline.unwrap_or_default().as_secs_f64(),
        plan.steps
    )
}
