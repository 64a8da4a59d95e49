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
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use std::time::Duration;

/// Processes that may die under a job, with its resume bundle getting no further, before it is given up.
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
    /// Jobs that ran when the last process died and go on.
    pub again: Vec<JobId>,
    /// Jobs that are given up.
    pub given_up: Vec<JobId>,
}

impl Store {
    /// Takes the oldest job that waits and marks it as running. A job that will be given up if one more process dies
    /// runs alone, so that no other is blamed for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn claim(&self) -> Result<Option<Job>, StoreError> {
        self.write_blocking(|transaction| {
            let number: Option<i64> = transaction
                .prepare_cached("SELECT min(number) FROM jobs WHERE state = ?1")?
                .query_row(params![JobState::Queued.number()], |row| row.get(0))?;
            let Some(number) = number else {
                return Ok(None);
            };
            if must_wait(transaction, number)? {
                return Ok(None);
            }
            transaction
                .prepare_cached(
                    "UPDATE jobs SET state = ?2, attempts = attempts + 1 - put_back, put_back = 0,
                            started_us = coalesce(started_us, ?3)
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
        let (sequence, cancelled) = self.write_blocking(move |transaction| {
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
        self.read_blocking(move |connection| {
            let number = number_of(connection, job)?;
            Ok(read(connection, number)?.cancel_requested)
        })
    }

    /// Ends a job.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn finish(&self, job: JobId, ending: Ending) -> Result<(), StoreError> {
        let sequence = self.write_blocking(move |transaction| {
            let number = number_of(transaction, job)?;
            end(transaction, number, &ending)?;
            Ok(read(transaction, number)?.last_event)
        })?;
        self.signals().announce(job, sequence);
        Ok(())
    }

    /// Puts a running job back into the queue, where it is the first, after so much training over all attempts: the
    /// process is about to end. What follows is no further attempt. One whose cancellation was asked for ends here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn requeue(&self, job: JobId, spent: Duration) -> Result<(), StoreError> {
        self.write_blocking(move |transaction| {
            let number = number_of(transaction, job)?;
            note_spent(transaction, number, spent)?;
            put_back(transaction, number)
        })
    }

    /// Puts every running job back into the queue: the process ends without waiting for them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn requeue_all(&self) -> Result<(), StoreError> {
        self.write(|transaction| {
            while let Some(number) = first_running(transaction)? {
                put_back(transaction, number)?;
            }
            Ok(())
        })
        .await
    }

    /// A resume bundle of a running job is durable, taken after `step` steps and so much training over all attempts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn bundle_kept(&self, job: JobId, step: u64, spent: Duration) -> Result<(), StoreError> {
        self.write_blocking(move |transaction| {
            let number = number_of(transaction, job)?;
            note_spent(transaction, number, spent)?;
            transaction
                .prepare_cached(
                    "UPDATE jobs SET bundle_step = ?2, crashes = 0 WHERE number = ?1 AND bundle_step < ?2",
                )?
                .execute(params![number, step])?;
            Ok(())
        })
    }

    /// Jobs that have not ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unfinished_jobs(&self) -> Result<Vec<JobId>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT id FROM jobs WHERE state < ?1")?;
            let mut rows = statement.query(params![JobState::Succeeded.number()])?;
            let mut jobs = Vec::new();
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                jobs.push(
                    id.parse()
                        .map_err(|_| StoreError::Corrupt(format!("job id {id}")))?,
                );
            }
            Ok(jobs)
        })
        .await
    }

    /// Deals with the jobs that ran when the last process died: each goes on from its resume bundle, or from the
    /// start, until [`STARTS_AT_MOST`] processes have died under it and the bundle got no further.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recover(&self) -> Result<Recovery, StoreError> {
        self.write(|transaction| {
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
                        "the trainer's process died {crashes} times in a row while this job ran, and it got no further than step {}: it may need more memory than the machine has",
                        bundle_step(transaction, number)?
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

fn first_running(connection: &Connection) -> Result<Option<i64>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT number FROM jobs WHERE state = ?1 ORDER BY number LIMIT 1")?
        .query_row(params![JobState::Running.number()], |row| row.get(0))
        .optional()?)
}

/// Whether a job cannot begin beside those that run: one of them all is on its last attempt.
fn must_wait(connection: &Connection, number: i64) -> Result<bool, StoreError> {
    let (running, most): (u32, u32) = connection
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE state = ?2), max(crashes) FROM jobs
             WHERE state = ?2 OR number = ?1",
        )?
        .query_row(params![number, JobState::Running.number()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok(running > 0 && most + 1 >= STARTS_AT_MOST)
}

fn bundle_step(connection: &Connection, number: i64) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT bundle_step FROM jobs WHERE number = ?1")?
        .query_row(params![number], |row| row.get(0))?)
}

/// Notes the time of training over all attempts, which never shrinks.
pub(super) fn note_spent(
    transaction: &Transaction<'_>,
    number: i64,
    spent: Duration,
) -> Result<(), StoreError> {
    let spent = i64::try_from(spent.as_micros()).unwrap_or(i64::MAX);
    transaction
        .prepare_cached("UPDATE jobs SET spent_us = max(spent_us, ?2) WHERE number = ?1")?
        .execute(params![number, spent])?;
    Ok(())
}

fn put_back(transaction: &Transaction<'_>, number: i64) -> Result<(), StoreError> {
    if read(transaction, number)?.cancel_requested {
        return end(transaction, number, &Ending::cancelled());
    }
    transaction
        .prepare_cached("UPDATE jobs SET put_back = 1 WHERE number = ?1")?
        .execute(params![number])?;
    queue_again(transaction, number)
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
