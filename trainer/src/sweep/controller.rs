//! The task that runs sweeps: submits their trials as jobs, follows their ends, begins rungs.
//!
//! It keeps nothing in memory. Each step reads what the database has and does what comes next; each
//! is safe to repeat, because the request id of a trial's job follows from sweep and number, and a
//! rung begins in one transaction. So a process can end between any two steps.

use super::{
    accept::Sweeper,
    next_rung::{Finished, next_trials},
    outcome::outcome,
    state::{SweepState, TrialState},
    trial::TrialResult,
};
use crate::{
    cancellation::Canceller,
    job::JobState,
    store::{ActiveSweep, StoreError, Trial},
    submission::{Promotions, SubmitError, Submitter, SubmittingClient},
};
use digits_telemetry::supervisor::{RepeatedDeaths, Supervisor, Task};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// Longest time between two looks at running sweeps; the end of a job shortens it.
const INTERVAL: Duration = Duration::from_millis(250);
/// Pause after a failure, such as of the storage.
const PAUSE: Duration = Duration::from_secs(5);

/// Runs sweeps; cheap to clone.
#[derive(Clone)]
pub(crate) struct Controller {
    /// Accepts the jobs of trials.
    pub(crate) submitter: Submitter,
    /// Cancels them.
    pub(crate) canceller: Canceller,
    /// Jobs of a sweep that wait in the queue at a time: as many as the workers can take at once.
    pub(crate) width: usize,
    /// Woken by a new sweep, and by a cancellation.
    pub(crate) wake: Arc<Notify>,
}

/// Why a step was not done; it is repeated.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Storage(#[from] digits_checkpoint::StorageError),
    #[error("a job is not accepted yet: {0}")]
    Submit(SubmitError),
}

impl Controller {
    /// Accepts sweeps for this task.
    pub(crate) fn sweeper(&self) -> Sweeper {
        Sweeper {
            submitter: self.submitter.clone(),
            wake: Arc::clone(&self.wake),
        }
    }

    /// Starts the task, which ends when `stop` is cancelled. It never fails liveness: jobs do not
    /// depend on it.
    pub(crate) fn start(self, supervisor: &Supervisor, stop: &CancellationToken) -> JoinHandle<()> {
        let until = stop.clone();
        supervisor.restart(
            Task::new("sweeps"),
            RepeatedDeaths::Tolerate,
            stop.clone(),
            move || self.clone().run(until.clone()),
        )
    }

    /// Runs sweeps until the shutdown.
    async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        while let Some(stepped) = stop.run_until_cancelled(self.step()).await {
            let pause = match stepped {
                Ok(active) => {
                    failing = false;
                    (active > 0).then_some(INTERVAL)
                }
                Err(error) => {
                    // Logged once until a step succeeds.
                    if !failing {
                        tracing::warn!(%error, "sweeps cannot go on; trying again");
                    }
                    failing = true;
                    Some(PAUSE)
                }
            };
            let waiting = async {
                match pause {
                    // Without a running sweep there is nothing to look at.
                    None => self.wake.notified().await,
                    Some(PAUSE) => sleep(PAUSE).await,
                    // Whatever it was: the next step reads everything.
                    Some(pause) => tokio::select! {
                        () = sleep(pause) => {}
                        () = self.wake.notified() => {}
                        () = self.submitter.store.signals().job_ended() => {}
                    },
                }
            };
            if stop.run_until_cancelled(waiting).await.is_none() {
                return;
            }
        }
    }

    /// Does what comes next in every running sweep; returns how many there are. A failure of one
    /// does not keep the others from going on.
    async fn step(&self) -> Result<usize, StepError> {
        let active = self.submitter.store.active_sweeps(self.width).await?;
        let mut first_error = Ok(active.len());
        for sweep in &active {
            if let Err(error) = self.advance(sweep).await {
                first_error = first_error.and(Err(error));
            }
        }
        first_error
    }

    async fn advance(&self, sweep: &ActiveSweep) -> Result<(), StepError> {
        let store = &self.submitter.store;
        let is_pending = |trial: &Trial| trial.state == TrialState::Pending;
        if sweep.cancel_requested && sweep.open.iter().any(is_pending) {
            store.drop_pending_trials(sweep.number).await?;
        }
        let mut open = 0;
        for trial in &sweep.open {
            if !self.end(sweep, trial).await? {
                open += 1;
            }
        }
        match (sweep.cancel_requested, open) {
            (true, 0) => self.finish(sweep, SweepState::Cancelled).await,
            (true, _) => self.cancel(sweep).await,
            (false, 0) => self.end_rung(sweep).await,
            (false, _) => self.submit(sweep).await,
        }
    }

    /// Records the result of a trial whose job has ended; returns whether the trial is over.
    async fn end(&self, sweep: &ActiveSweep, trial: &Trial) -> Result<bool, StepError> {
        let store = &self.submitter.store;
        match (trial.state, trial.job) {
            (TrialState::Submitted(state), Some(id)) if state.is_end() => {
                let job = store.job(id).await?;
                let result = outcome(&job, &self.submitter.storage).await?;
                store.end_trial(sweep.number, trial.number, result).await?;
                Ok(true)
            }
            // Dropped by this step.
            (TrialState::Pending, _) => Ok(sweep.cancel_requested),
            _ => Ok(false),
        }
    }

    async fn cancel(&self, sweep: &ActiveSweep) -> Result<(), StepError> {
        for trial in &sweep.open {
            if let (TrialState::Submitted(state), Some(job)) = (trial.state, trial.job)
                && !state.is_end()
                && !trial.cancel_requested
            {
                self.canceller.cancel(job).await?;
            }
        }
        Ok(())
    }

    /// Submits trials in the order of their numbers, while the queue has room for them.
    async fn submit(&self, sweep: &ActiveSweep) -> Result<(), StepError> {
        let is = |state: TrialState| move |trial: &&Trial| trial.state == state;
        let queued = TrialState::Submitted(JobState::Queued);
        let waiting = sweep.open.iter().filter(is(queued)).count();
        let mut pending = sweep.open.iter().filter(is(TrialState::Pending)).peekable();
        if waiting >= self.width || pending.peek().is_none() {
            return Ok(());
        }
        let room = self.submitter.room(&sweep.submitted_by).await?;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        for trial in pending.take(room.min(self.width - waiting)) {
            if !self.submit_one(sweep, trial).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Submits the job of a trial; returns whether the next one may be tried.
    async fn submit_one(&self, sweep: &ActiveSweep, trial: &Trial) -> Result<bool, StepError> {
        let store = &self.submitter.store;
        let spec = store.trial_spec(sweep.number, trial.number).await?;
        let client = SubmittingClient {
            name: sweep.submitted_by.clone(),
            // The spec of a trial has the policy MANUAL.
            promotions: Promotions::Denied,
        };
        let request_id = trial.request_id.clone();
        let refused = match self.submitter.submit(request_id, spec, None, client).await {
            Ok(_) => return Ok(true),
            // Between the look at the queue and the submission another job took the place.
            Err(SubmitError::Store(StoreError::QueueFull { .. } | StoreError::Quota(_))) => {
                return Ok(false);
            }
            Err(SubmitError::Invalid(found)) => {
                let found = found
                    .iter()
                    .map(|it| format!("{}: {}", it.field, it.message));
                found.collect::<Vec<_>>().join("; ")
            }
            Err(error @ (SubmitError::PromotionDenied | SubmitError::Internal)) => {
                error.to_string()
            }
            Err(SubmitError::Store(error @ StoreError::RequestIdTaken)) => error.to_string(),
            Err(error) => return Err(StepError::Submit(error)),
        };
        tracing::warn!(
            sweep = %sweep.id, trial = trial.number, reason = refused,
            "the job of a trial is not accepted; the sweep goes on without it"
        );
        let result = TrialResult::Without(format!("its job was not accepted: {refused}"));
        store.end_trial(sweep.number, trial.number, result).await?;
        Ok(true)
    }

    /// Begins the next rung, or ends the sweep.
    async fn end_rung(&self, sweep: &ActiveSweep) -> Result<(), StepError> {
        let store = &self.submitter.store;
        let finished = store.rung_trials(sweep.number, sweep.rung).await?;
        let succeeded = finished.iter().any(|(_, result)| result.is_some());
        let next = sweep.rungs.get(sweep.rung as usize).filter(|_| succeeded);
        let Some(next) = next else {
            let state = match succeeded {
                true => SweepState::Succeeded,
                false => SweepState::Failed,
            };
            return self.finish(sweep, state).await;
        };
        let finished: Vec<Finished> = finished
            .into_iter()
            .map(|(trial, result)| Finished { trial, result })
            .collect();
        let trials = next_trials(&sweep.id.to_string(), &finished, *next)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        tracing::info!(
            sweep = %sweep.id, rung = sweep.rung + 1, trials = trials.len(), epochs = next.epochs,
            "the next rung of a sweep begins"
        );
        Ok(store
            .begin_rung(sweep.number, sweep.rung + 1, trials)
            .await?)
    }

    async fn finish(&self, sweep: &ActiveSweep, state: SweepState) -> Result<(), StepError> {
        self.submitter
            .store
            .finish_sweep(sweep.number, state)
            .await?;
        tracing::info!(sweep = %sweep.id, state = state.as_str(), "sweep ended");
        Ok(())
    }
}
