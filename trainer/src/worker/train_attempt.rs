//! Trains a job: data set and weights to start from, the training with its output, the outcome.

use super::{
    assignment::Assignment,
    error::JobError,
    executor::AttemptEnd,
    job_run::JobRun,
    observer::JobObserver,
    outage::Outages,
    output::{Beginning, Output},
    parent,
    running::{RunningJob, StopReason},
    services::TrainingServices,
};
use crate::{
    job::{JobId, JobState},
    metrics::{JobInfo, JobSeries},
    spec::{self, JobPlan, JobRequest},
    store::JobOutcome,
    train::{self, Finished, Outcome, TrainError},
    wire::SpecMessage,
};
use std::sync::Arc;

/// Trains a job until it is over or `running` is stopped. Its output goes to `output`. Blocks.
pub(super) fn train_attempt(
    services: &TrainingServices,
    output: Output,
    assignment: &Assignment<'_>,
    running: &Arc<RunningJob>,
) -> Result<AttemptEnd, JobError> {
    let job = assignment.job;
    let spec = SpecMessage::decode(assignment.resolved)?;
    let request = spec.request();
    tracing::info!(%job, name = request.name, attempt = assignment.attempts, "job starts");
    let mut plan = plan_on(services, assignment, &request)?;
    // Before the training: a checkpoint whose manifest cannot be written would be lost.
    let lineage = spec.lineage()?;
    let data = services.catalog.load(&plan.dataset);
    let data = data.map_err(|error| JobError::Dataset {
        name: plan.dataset_name.clone(),
        source: Box::new(error),
    })?;
    if let Some(parent) = plan.parent {
        let loading = parent::load_weights(services, running, parent);
        match (services.runtime.block_on(loading), running.stop_reason()) {
            (Ok(weights), _) => plan.train.initial_weights = Some(weights),
            (Err(_), Some(StopReason::Shutdown)) => return Ok(released()),
            (Err(_), Some(StopReason::Cancel)) => {
                return Ok(AttemptEnd::Finished(JobOutcome::cancelled()));
            }
            (Err(error), _) => return Err(error),
        }
    }
    let series = services
        .metrics
        .job_begins(job_info(job, &request.name, &plan));
    let beginning = Beginning {
        device: plan.train.device.to_string(),
        dataset_digest: data.digest.clone(),
    };
    running.start_clock(assignment.spent, plan.deadline);
    let outages = Outages::new(job, running, output.store(), services.max_outage);
    let begin = output.begin(running, &outages, beginning);
    match (services.runtime.block_on(begin), running.stop_reason()) {
        (Ok(true), _) => running.stop(StopReason::Cancel),
        (Ok(false), _) => {}
        (Err(_), Some(StopReason::Shutdown)) => return Ok(released()),
        (Err(_), Some(StopReason::Cancel)) => {
            return Ok(AttemptEnd::Finished(JobOutcome::cancelled()));
        }
        (Err(error), _) => return Err(error.into()),
    }
    let run = Arc::new(JobRun {
        services: services.clone(),
        output,
        job,
        name: request.name,
        plan,
        spec: lineage,
        data,
        running: Arc::clone(running),
    });
    train_job(&run, &series)
}

/// Plan of the job on this machine.
fn plan_on(
    services: &TrainingServices,
    assignment: &Assignment<'_>,
    request: &JobRequest,
) -> Result<JobPlan, JobError> {
    let mut plan = spec::plan(request, &services.catalog)?;
    if train::is_auto(request.device.as_deref().unwrap_or_default()) {
        plan.train.device = assignment.device;
    }
    plan.train.max_threads = assignment.threads;
    Ok(plan)
}

/// Labels of the job's series.
pub(super) fn job_info(job: JobId, name: &str, plan: &JobPlan) -> JobInfo {
    JobInfo {
        job_id: job.to_string(),
        name: name.to_owned(),
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
        Err(JobError::Train(TrainError::NotFinite { .. })) => {
            run.services.metrics.loss_not_finite();
        }
        Err(_) => {}
    }
    conclude(run, trained, written)
}

/// Trains from the newest bundle that can be used, else from the start.
fn train_from_newest_bundle(
    run: &JobRun,
    observer: &mut JobObserver<'_>,
) -> Result<Outcome, JobError> {
    let (job, metrics) = (run.job, &run.services.metrics);
    let mut bundles = run.output.resume_bundles(job);
    loop {
        let found = bundles.next(metrics, &run.outages().of_bundles());
        let found = found.map_err(JobError::ResumeBundle)?;
        let trained = train::run(&run.plan.train, &run.data, found.as_deref(), observer);
        let (Err(TrainError::Bundle(reason)), Some(_)) = (&trained, &found) else {
            return Ok(trained?);
        };
        metrics.bundle_refused();
        tracing::warn!(%job, reason, "a resume bundle does not fit; resuming from the previous one or from the start");
    }
}

fn conclude(
    run: &JobRun,
    trained: Result<Outcome, JobError>,
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
            return Ok(match trained {
                Ok(outcome) => AttemptEnd::Released(ended(JobState::Cancelled, outcome)),
                Err(_) => released(),
            });
        }
        // A stop also ends the retries of the publisher, so its failure is not the reason.
        (Some(StopReason::Cancel), Err(error)) => {
            error.log_lost_output(run.job);
            return Ok(AttemptEnd::Finished(JobOutcome::cancelled()));
        }
        (Some(StopReason::Deadline), Err(error)) => {
            error.log_lost_output(run.job);
            return Ok(deadline_passed(run));
        }
        _ => {}
    }
    // The same holds for the retries of a read.
    match (stop, &trained) {
        (Some(StopReason::Cancel), Err(JobError::ResumeBundle(_))) => {
            return Ok(AttemptEnd::Finished(JobOutcome::cancelled()));
        }
        (Some(StopReason::Deadline), Err(JobError::ResumeBundle(_))) => {
            return Ok(deadline_passed(run));
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
    let outcome = JobOutcome {
        error,
        ..ended(state, outcome)
    };
    Ok(AttemptEnd::Finished(outcome))
}

fn deadline_passed(run: &JobRun) -> AttemptEnd {
    let message = deadline_message(&run.plan, run.running.step());
    AttemptEnd::Finished(JobOutcome::failed(message))
}

/// An attempt that was stopped before its training began.
fn released() -> AttemptEnd {
    AttemptEnd::Released(JobOutcome::cancelled())
}

fn ended(state: JobState, outcome: Outcome) -> JobOutcome {
    JobOutcome {
        state,
        error: String::new(),
        test: outcome.test,
        step: Some(outcome.steps),
        train_seconds: outcome.train_seconds,
        validation_seconds: outcome.validation_seconds,
    }
}

fn deadline_message(plan: &JobPlan, step: u64) -> String {
    format!(
        "the deadline of {} seconds passed at step {step} of {}",
        plan.deadline.unwrap_or_default().as_secs_f64(),
        plan.steps
    )
}
