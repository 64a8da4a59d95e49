//! Trains jobs on the threads of the workers.

use super::{
    assignment::Assignment,
    error::JobError,
    executor::{AttemptEnd, Executor},
    output::{Output, TrainerOutput},
    progress::show_queued,
    running::RunningJob,
    services::TrainingServices,
    slot::WorkerSlot,
    train_attempt::train_attempt,
};
use crate::{store::Job, wire::SpecMessage};
use digits_checkpoint::serving::Scope;
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
        let output = Output::Trainer(Box::new(TrainerOutput {
            context: slot.context.clone(),
            scope: scope(job)?,
        }));
        let assignment = Assignment {
            job: job.id,
            attempts: job.attempts,
            resolved: &job.resolved,
            spent: job.spent,
            device: slot.device,
            threads: slot.threads,
        };
        show_queued(job, &slot.context.metrics);
        let services = TrainingServices::from(&slot.context);
        train_attempt(&services, output, &assignment, running)
    }
}

/// What the checkpoints of the job may replace: its request names the model, or takes the default.
pub(super) fn scope(job: &Job) -> Result<Scope, JobError> {
    let requested = SpecMessage::decode(&job.requested)?.request();
    Ok(match requested.model {
        Some(_) => Scope::Any,
        None => Scope::SameData,
    })
}
