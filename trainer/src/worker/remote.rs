//! Runs each attempt in a worker outside this process: opens the attempt in the job database, puts
//! its record on the storage, has its worker started, and follows its reports.

use super::{
    error::{JobError, PublishError},
    executor::{AttemptEnd, Executor},
    follower::Follower,
    launcher::{AtShutdown, Launcher},
    outage::Outages,
    running::{RunningJob, StopReason},
    slot::WorkerSlot,
    start::start_worker,
};
use crate::{
    attempt::AttemptRecord,
    job::{JobId, JobOutcome},
    metrics::AttemptEndLabel,
    store::{Job, Run},
    wire,
};
use bytes::Bytes;
use digits_checkpoint::{StorageError, runs::Attempt};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Pause after a worker that ended before it began; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Runs each attempt in a worker that a launcher starts.
pub(super) struct Remote<L> {
    launcher: L,
    /// The attempts whose workers the launcher has not forgotten.
    attempts: Mutex<HashMap<JobId, Attempt>>,
}

impl<L: Launcher> Executor for Remote<L> {
    fn execute(
        &self,
        slot: &WorkerSlot,
        job: &Job,
        running: &Arc<RunningJob>,
    ) -> Result<AttemptEnd, JobError> {
        let ended = self.run(slot, job, running);
        if let Ok(AttemptEnd::Crashed | AttemptEnd::Evicted(_)) = &ended {
            self.kill(job.id);
        }
        match (ended, running.stop_reason()) {
            // A stop also ends the retries of what fails, so that is not the reason.
            (Err(error), Some(StopReason::Cancel)) => {
                error.log_lost_output(job.id);
                Ok(AttemptEnd::Finished(JobOutcome::cancelled()))
            }
            (Err(error), Some(StopReason::Shutdown)) => {
                error.log_lost_output(job.id);
                Ok(match self.leaves(job.id, running) {
                    true => AttemptEnd::Left,
                    false => AttemptEnd::Released(JobOutcome::cancelled()),
                })
            }
            (ended, _) => ended,
        }
    }

    fn forget(&self, job: JobId) {
        let attempt = self.attempts().remove(&job);
        if let Some(attempt) = attempt {
            self.launcher.forget(&attempt);
        }
    }
}

impl<L: Launcher> Remote<L> {
    pub(super) fn new(launcher: L) -> Self {
        Self {
            launcher,
            attempts: Mutex::default(),
        }
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<JobId, Attempt>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this trainer shuts down and a worker of the job goes on.
    fn leaves(&self, job: JobId, running: &RunningJob) -> bool {
        running.stop_reason() == Some(StopReason::Shutdown)
            && self.launcher.at_shutdown() == AtShutdown::Leave
            && self.attempts().contains_key(&job)
    }

    /// Kills what is left of the worker of a job's attempt, which the next attempt replaces.
    fn kill(&self, job: JobId) {
        let attempt = self.attempts().get(&job).cloned();
        if let Some(attempt) = attempt {
            self.launcher.kill(&attempt);
        }
    }

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
                None => self.launch(slot, job, running)?,
            },
        };
        let (mut failing, mut pause) = (None, FIRST_PAUSE);
        let mut followed = self.follow(slot, job, running, &run);
        // Such as without the storage or the program's files: not the job's fault, so not counted.
        while let Err(error @ JobError::NotBegun { .. }) = &followed {
            let begun = failing.get_or_insert_with(Instant::now);
            let left = context.max_outage.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            tracing::error!(job = %job.id, %error, "the worker of a job does not begin; starting another");
            context.metrics.attempts.ended(AttemptEndLabel::NotBegun);
            let stop = async { tokio::time::timeout(pause.min(left), running.stopped()).await };
            if context.runtime.block_on(stop).is_ok() {
                break;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
            let launching = Instant::now();
            let run = self.launch(slot, job, running)?;
            // A cluster may be waited for as long as it takes.
            *begun += launching.elapsed();
            followed = self.follow(slot, job, running, &run);
        }
        followed
    }

    fn follow(
        &self,
        slot: &WorkerSlot,
        job: &Job,
        running: &Arc<RunningJob>,
        run: &Run,
    ) -> Result<AttemptEnd, JobError> {
        if run.cancel_requested {
            running.stop(StopReason::Cancel);
        }
        let attempt = attempt(job, run);
        self.attempts().insert(job.id, attempt.clone());
        let followed = Follower::new(slot, job, running, run)
            .and_then(|mut follower| follower.follow(&self.launcher));
        if followed.is_err() && !self.leaves(job.id, running) {
            self.launcher.kill(&attempt);
        }
        followed
    }

    /// Opens the next attempt and has its worker started.
    fn launch(&self, slot: &WorkerSlot, job: &Job, running: &RunningJob) -> Result<Run, JobError> {
        let context = &slot.context;
        let outages = Outages::new(job.id, running, Some(&context.store), context.max_outage);
        let (run, attempt) = loop {
            let begin = || context.store.begin_run(job.id);
            let run = context.runtime.block_on(outages.outlast(begin))?;
            let attempt = attempt(job, &run);
            let record = AttemptRecord {
                resolved: job.resolved.clone(),
                attempts: job.attempts,
                spent: job.spent,
                resume: run.bundles.clone(),
                nonce: Uuid::now_v7().to_string(),
            };
            let record = Bytes::from(wire::attempt_record_bytes(&record));
            let create = || async {
                let created = attempt.create_record(&context.storage, record.clone());
                created.await.map_err(PublishError::Storage)
            };
            match context.runtime.block_on(outages.outlast(create)) {
                // By a trainer of which the state was replaced by an older copy.
                Err(PublishError::Storage(StorageError::Conflict { .. })) => {
                    tracing::warn!(%attempt, "another attempt of this number is on the storage; taking the next number");
                }
                created => {
                    created?;
                    break (run, attempt);
                }
            }
        };
        self.attempts().insert(job.id, attempt.clone());
        start_worker(&self.launcher, slot, job, &attempt, outages)?;
        Ok(run)
    }
}

fn attempt(job: &Job, run: &Run) -> Attempt {
    Attempt {
        job: job.id.to_string(),
        number: run.attempt,
    }
}
