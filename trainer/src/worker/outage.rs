//! Repeats what a running job writes while that fails in a way that may pass, such as under another
//! program's lock of the job database.

use super::{context::WorkerContext, job_run::JobRun, running::RunningJob};
use crate::{job::JobId, store::StoreError};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use std::{fmt::Display, time::Duration};
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// An error of a write.
pub(super) trait WriteError: Display {
    /// Whether the same write may succeed later.
    fn may_pass(&self) -> bool;
}

impl WriteError for StoreError {
    fn may_pass(&self) -> bool {
        StoreError::may_pass(self)
    }
}

/// How the writes of a running job outlast an outage.
pub(super) struct Outages<'a> {
    pub(super) job: JobId,
    pub(super) running: &'a RunningJob,
    /// Time after which a failure counts as permanent.
    pub(super) limit: Duration,
}

impl<'a> Outages<'a> {
    pub(super) fn of(run: &'a JobRun) -> Self {
        Self::new(run.job, &run.running, &run.context)
    }

    pub(super) fn new(job: JobId, running: &'a RunningJob, context: &WorkerContext) -> Self {
        Self {
            job,
            running,
            limit: context.max_outage,
        }
    }

    /// Repeats `attempt` until it succeeds, fails for good or has failed for the time limit, or the
    /// job is stopped.
    pub(super) async fn outlast<T, E, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, E>
    where
        E: WriteError,
        F: Future<Output = Result<T, E>>,
    {
        let job = self.job;
        let mut pauses = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_jitter()
            .build();
        let mut since: Option<Instant> = None;
        loop {
            let error = match (attempt().await, since) {
                (Ok(value), None) => return Ok(value),
                (Ok(value), Some(since)) => {
                    let seconds = since.elapsed().as_secs_f64();
                    tracing::info!(%job, seconds, "output of a job is written again");
                    return Ok(value);
                }
                (Err(error), _) => error,
            };
            if since.is_none() && error.may_pass() {
                tracing::warn!(
                    %job, %error, limit_seconds = self.limit.as_secs_f64(),
                    "output of a job cannot be written; retrying"
                );
            }
            let begun = *since.get_or_insert_with(Instant::now);
            let left = self.limit.saturating_sub(begun.elapsed());
            if !error.may_pass() || left.is_zero() {
                return Err(error);
            }
            let pause = pauses.next().unwrap_or(LONGEST_PAUSE).min(left);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.running.stopped() => return Err(error),
            }
        }
    }
}
