//! Runs each attempt in a worker outside this process: opens the attempt in the job database, puts
//! its record on the storage, has its worker started, and follows its reports.

use super::{
    error::{JobError, PublishError},
    executor::{AttemptEnd, Executor},
    follower::Follower,
    launcher::Launcher,
    outage::Outages,
    running::{RunningJob, StopReason},
    slot::WorkerSlot,
};
use crate::{
    attempt::AttemptRecord,
    job::JobOutcome,
    store::{Job, Run},
    wire,
};
use bytes::Bytes;
use digits_checkpoint::runs::Attempt;
use std::sync::Arc;

/// Runs each attempt in a worker that a launcher starts.
pub(super) struct Remote<L> {
    pub(super) launcher: L,
}

impl<L: Launcher> Executor for Remote<L> {
    fn execute(
        &self,
        slot: &WorkerSlot,
        job: &Job,
        running: &Arc<RunningJob>,
    ) -> Result<AttemptEnd, JobError> {
        let ended = self.run(slot, job, running);
        match (ended, running.stop_reason()) {
            // A stop also ends the retries of what fails, so that is not the reason.
            (Err(error), Some(StopReason::Cancel)) => {
                error.log_lost_output(job.id);
                Ok(AttemptEnd::Finished(JobOutcome::cancelled()))
            }
            (Err(error), Some(StopReason::Shutdown)) => {
                error.log_lost_output(job.id);
                Ok(AttemptEnd::Released(JobOutcome::cancelled()))
            }
            (ended, _) => ended,
        }
    }
}

impl<L: Launcher> Remote<L> {
    fn run(
        &self,
        slot: &WorkerSlot,
        job: &Job,
        running: &Arc<RunningJob>,
    ) -> Result<AttemptEnd, JobError> {
        let context = &slot.context;
        let outages = Outages::new(job.id, running, Some(&context.store), context.max_outage);
        let open = || context.store.open_run(job.id);
        let run = match context.runtime.block_on(outages.outlast(open))? {
            Some(run) => run,
            None => match running.stop_reason() {
                Some(StopReason::Shutdown) => {
                    return Ok(AttemptEnd::Released(JobOutcome::cancelled()));
                }
                Some(_) => return Ok(AttemptEnd::Finished(JobOutcome::cancelled())),
                None => match self.launch(slot, job, &outages)? {
                    Some(run) => run,
                    None => return Ok(AttemptEnd::Crashed),
                },
            },
        };
        if run.cancel_requested {
            running.stop(StopReason::Cancel);
        }
        let attempt = attempt(job, &run);
        let followed = Follower::new(slot, job, running, &run)
            .and_then(|mut follower| follower.follow(&self.launcher));
        if followed.is_err() {
            self.launcher.kill(&attempt);
        }
        self.launcher.forget(&attempt);
        followed
    }

    /// Opens the next attempt and has its worker started; `None` when that failed.
    fn launch(
        &self,
        slot: &WorkerSlot,
        job: &Job,
        outages: &Outages<'_>,
    ) -> Result<Option<Run>, JobError> {
        let context = &slot.context;
        let begin = || context.store.begin_run(job.id);
        let run = context.runtime.block_on(outages.outlast(begin))?;
        let record = AttemptRecord {
            resolved: job.resolved.clone(),
            attempts: job.attempts,
            spent: job.spent,
            resume: run.bundles.clone(),
        };
        let record = Bytes::from(wire::attempt_record_bytes(&record));
        let attempt = attempt(job, &run);
        let create = || async {
            let created = attempt.create_record(&context.storage, record.clone());
            created.await.map_err(PublishError::Storage)
        };
        context.runtime.block_on(outages.outlast(create))?;
        if let Err(error) = self.launcher.launch(slot, &attempt) {
            tracing::error!(%attempt, %error, "the worker of a job cannot be started");
            self.launcher.forget(&attempt);
            return Ok(None);
        }
        Ok(Some(run))
    }
}

fn attempt(job: &Job, run: &Run) -> Attempt {
    Attempt {
        job: job.id.to_string(),
        number: run.attempt,
    }
}
