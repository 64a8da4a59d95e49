//! The interface of the executors, which run the attempts of jobs.

use super::{error::JobError, running::RunningJob, slot::WorkerSlot};
use crate::{
    job::JobId,
    store::{Job, JobOutcome},
};
use std::sync::Arc;

/// Runs the attempts of claimed jobs: on the thread of the worker, or elsewhere.
pub(super) trait Executor: Send + Sync {
    /// Runs one attempt until the job is over, its process has died, or `running` was stopped by a
    /// shutdown. Blocks.
    ///
    /// # Errors
    /// [`JobError`], with which the job fails.
    fn execute(
        &self,
        slot: &WorkerSlot,
        job: &Job,
        running: &Arc<RunningJob>,
    ) -> Result<AttemptEnd, JobError>;

    /// Frees what it keeps of a job's last attempt, whose worker has ended.
    fn forget(&self, _: JobId) {}
}

/// Outcome of an attempt.
pub(super) enum AttemptEnd {
    /// The job is over.
    Finished(JobOutcome),
    /// It was stopped by a shutdown, and the job can be resumed; this is its outcome if it was
    /// cancelled.
    Released(JobOutcome),
    /// Its process died; the job can be resumed.
    Crashed,
    /// Its place was taken from its process, for this reason; the job can be resumed.
    Evicted(String),
    /// This trainer shuts down, and the next one follows it.
    Left,
}
