//! The life of a job between the queue and its end, and what a start finds of the last one.

use super::{
    Job, Store, StoreError,
    events::{append, number_of},
    jobs::read,
};
use crate::{
    job::{Event, JobId, JobState, now_us},
    wire,
};
use digits_checkpoint::manifest::Evaluation;
use rusqlite::{OptionalExtension as _, Transaction, params};

/// Processes that may die under a job before it is given up.
pub const STARTS_AT_MOST: u32 = 3;

/// How a job ends.
#[derive(Clone, Debug)]
pub struct Ending {
    /// SUCCEEDED, FAILED or CANCELLED.
    pub state: JobState,
    /// What went wrong, for the client; empty unless it failed.
    pub error: String,
    /// The finished network on the test set.
    pub test: Option<Evaluation>,
    /// Steps done, where the training told.
    pub step: Option<u64>,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of validation.
    pub validation_seconds: f64,
}

impl Ending {
    /// By CancelJob.
    #[must_use]
    pub fn cancelled() -> Self {
        Self {
            state: JobState::Cancelled,
            error: String::new(),
            test: None,
            step: None,
            train_seconds: 0.0,
            validation_seconds: 0.0,
        }
    }

    /// By an error.
    #[must_use]
    pub fn failed(error: String) -> Self {
        Self {
            state: JobState::Failed,
            error,
            ..Self::cancelled()
        }
    }
}

/// What a start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Jobs that ran when the last process died and are begun again.
    pub again: Vec<JobId>,
    /// Jobs that are given up.
    pub given_up: Vec<JobId>,
}

impl Store {
    /// Takes the oldest job that waits and marks it as running.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn claim(&self) -> Result<Option<Job>, StoreError> {
        self.call_blocking(|transaction| {
            let number: Option<i64> = transaction
                .prepare_cached("SELECT min(number) FROM jobs WHERE state = ?1")?
                .query_row(params![JobState::Queued.number()], |row| row.get(0))?;
            let Some(number) = number else {
                return Ok(None);
            };
            transaction
                .prepare_cached(
                    "UPDATE jobs SET state = ?2, attempts = attempts + 1,
                            started_us = coalesce(started_us, ?3), epoch = 0, step = 0
                     WHERE number = ?1",
                )?
                .execute(params![number, JobState::Running.number(), now_us()])?;
            read(transaction, number).map(Some)
        })
    }

    /// The training of a claimed job begins on `device`; whether its cancellation was asked for meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begun(
        &self,
        job: JobId,
        device: String,
        dataset_digest: String,
    ) -> Result<bool, StoreError> {
        let (sequence, cancelled) = self.call_blocking(move |transaction| {
            let number = number_of(transaction, job)?;
            transaction
                .prepare_cached(
                    "UPDATE jobs SET device = ?2, dataset_digest = ?3 WHERE number = ?1",
                )?
                .execute(params![number, device, dataset_digest])?;
            let event = Event::StateChanged {
                state: JobState::Running,
                device,
            };
            let sequence = append(transaction, number, &event)?;
            Ok((sequence, read(transaction, number)?.cancel_requested))
        })?;
        self.signals().announce(job, sequence);
        Ok(cancelled)
    }

    /// Whether the cancellation of a job was asked for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn cancel_requested(&self, job: JobId) -> Result<bool, StoreError> {
        self.call_blocking(move |transaction| {
            let number = number_of(transaction, job)?;
            Ok(read(transaction, number)?.cancel_requested)
        })
    }

    /// Ends a job.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn finish(&self, job: JobId, ending: Ending) -> Result<(), StoreError> {
        let sequence = self.call_blocking(move |transaction| {
            let number = number_of(transaction, job)?;
            end(transaction, number, &ending)?;
            Ok(read(transaction, number)?.last_event)
        })?;
        self.signals().announce(job, sequence);
        Ok(())
    }

    /// Puts a running job back into the queue, where it is the first: the process is about to end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn requeue(&self, job: JobId) -> Result<(), StoreError> {
        self.call_blocking(move |transaction| {
            let number = number_of(transaction, job)?;
            queue_again(transaction, number)
        })
    }

    /// Deals with the jobs that ran when the last process died: each is begun again, from the start and
    /// with the same seed, until [`STARTS_AT_MOST`] processes have died under it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recover(&self) -> Result<Recovery, StoreError> {
        self.call(|transaction| {
            let mut recovery = Recovery::default();
            while let Some(number) = first_running(transaction)? {
                let job = read(transaction, number)?;
                let crashes: u32 = transaction
                    .prepare_cached(
                        "UPDATE jobs SET crashes = crashes + 1 WHERE number = ?1 RETURNING crashes",
                    )?
                    .query_row(params![number], |row| row.get(0))?;
                if job.cancel_requested {
                    end(transaction, number, &Ending::cancelled())?;
                } else if crashes >= STARTS_AT_MOST {
                    let error = format!(
                        "the trainer's process died {crashes} times while this job ran; it may need more memory than the machine has"
                    );
                    end(transaction, number, &Ending::failed(error))?;
                    recovery.given_up.push(job.id);
                } else {
                    queue_again(transaction, number)?;
                    recovery.again.push(job.id);
                }
            }
            Ok(recovery)
        })
        .await
    }
}

fn first_running(transaction: &Transaction<'_>) -> Result<Option<i64>, StoreError> {
    Ok(transaction
        .prepare_cached("SELECT number FROM jobs WHERE state = ?1 ORDER BY number LIMIT 1")?
        .query_row(params![JobState::Running.number()], |row| row.get(0))
        .optional()?)
}

fn queue_again(transaction: &Transaction<'_>, number: i64) -> Result<(), StoreError> {
    transaction
        .prepare_cached("UPDATE jobs SET state = ?2 WHERE number = ?1")?
        .execute(params![number, JobState::Queued.number()])?;
    let event = Event::StateChanged {
        state: JobState::Queued,
        device: String::new(),
    };
    append(transaction, number, &event)?;
    Ok(())
}

/// Writes a job's end and its last event.
pub(super) fn end(
    transaction: &Transaction<'_>,
    number: i64,
    ending: &Ending,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "UPDATE jobs SET state = ?2, error = ?3, test = ?4, finished_us = ?5, train_seconds = ?6,
                    validation_seconds = ?7, step = coalesce(?8, step), cancel_requested = 0 WHERE number = ?1",
        )?
        .execute(params![
            number,
            ending.state.number(),
            ending.error,
            ending.test.as_ref().map(wire::evaluation_bytes),
            now_us(),
            ending.train_seconds,
            ending.validation_seconds,
            ending.step,
        ])?;
    let event = Event::Finished {
        state: ending.state,
        error: ending.error.clone(),
        test: ending.test,
    };
    append(transaction, number, &event)?;
    Ok(())
}
