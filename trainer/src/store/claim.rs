//! Claims jobs from the queue, and records their start, end or release.

use super::{
    error::StoreError,
    events::{append, number_of, record_bundle_step, record_spent},
    handle::Store,
    job_record::{Job, read},
    outcome::{JobOutcome, end_job},
    runs::{adopt_run, close_run},
};
use crate::job::{Event, JobId, JobState, now_us};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use std::time::Duration;

/// Crashes of the process in a row, without progress of the resume bundle, after which a job is
/// abandoned.
pub const MAX_CRASHES: u32 = 3;

/// Where the attempts of jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// All on one, whose memory they share.
    Shared,
    /// Each with resources of its own.
    Own,
}

impl Store {
    /// Takes a job whose attempt outlived the last process, else the oldest waiting one, which it
    /// marks as running. On a shared machine a job that one more crash would make abandoned runs
    /// alone, so that no other job can cause that crash.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn claim(&self, machine: Machine) -> Result<Option<Job>, StoreError> {
        self.write_blocking(move |transaction| {
            if let Some(number) = adopt_run(transaction)? {
                return read(transaction, number).map(Some);
            }
            let number: Option<i64> = transaction
                .prepare_cached("SELECT min(number) FROM jobs WHERE state = ?1")?
                .query_row(params![JobState::Queued.number()], |row| row.get(0))?;
            let Some(number) = number else {
                return Ok(None);
            };
            if machine == Machine::Shared && must_wait(transaction, number)? {
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

    /// Records that the training of a claimed job starts on `device`. Returns whether its
    /// cancellation was requested meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(
        &self,
        job: JobId,
        device: String,
        dataset_digest: String,
    ) -> Result<bool, StoreError> {
        let writing = self.write(move |transaction| {
            let number = number_of(transaction, job)?;
            transaction
                .prepare_cached(
                    "UPDATE jobs SET device = ?2, dataset_digest = ?3 WHERE number = ?1",
                )?
                .execute(params![number, device, dataset_digest])?;
            let event = Event::StateChanged {
                state: JobState::Running,
                device,
                reason: String::new(),
            };
            let sequence = append(transaction, number, &event)?;
            Ok((sequence, read(transaction, number)?.cancel_requested))
        });
        let (sequence, cancelled) = writing.await?;
        self.signals().announce(job, sequence);
        Ok(cancelled)
    }

    /// Writes the outcome of a job.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn finish(&self, job: JobId, outcome: JobOutcome) -> Result<(), StoreError> {
        let sequence = self.write_urgent_blocking(move |transaction| {
            let number = number_of(transaction, job)?;
            end_job(transaction, number, &outcome)?;
            Ok(read(transaction, number)?.last_event)
        })?;
        self.signals().announce(job, sequence);
        self.signals().announce_end();
        Ok(())
    }

    /// Releases a running job to the front of the queue, after `spent` of training over all
    /// attempts, because the process shuts down. Its next run counts as the same attempt. A job
    /// whose cancellation was requested is cancelled here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn release(&self, job: JobId, spent: Duration) -> Result<(), StoreError> {
        self.write_urgent_blocking(move |transaction| {
            let number = number_of(transaction, job)?;
            record_spent(transaction, number, spent)?;
            release(transaction, number)
        })
    }

    /// Releases every running job into the queue: the process ends without waiting for them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn release_all(&self) -> Result<(), StoreError> {
        self.write_urgent(|transaction| {
            while let Some(number) = first_running(transaction)? {
                release(transaction, number)?;
            }
            Ok(())
        })
        .await
    }

    /// Records that a resume bundle of a running job is durable, taken after `step` steps and
    /// `spent` of training over all attempts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_bundle(
        &self,
        job: JobId,
        step: u64,
        spent: Duration,
    ) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let number = number_of(transaction, job)?;
            record_spent(transaction, number, spent)?;
            record_bundle_step(transaction, number, step)
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

/// Whether a job must wait until the running ones are over: this job or one of them is on its last
/// attempt.
fn must_wait(connection: &Connection, number: i64) -> Result<bool, StoreError> {
    let (running, most): (u32, u32) = connection
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE state = ?2), max(crashes) FROM jobs
             WHERE state = ?2 OR number = ?1",
        )?
        .query_row(params![number, JobState::Running.number()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok(running > 0 && most + 1 >= MAX_CRASHES)
}

fn release(transaction: &Transaction<'_>, number: i64) -> Result<(), StoreError> {
    if read(transaction, number)?.cancel_requested {
        return end_job(transaction, number, &JobOutcome::cancelled());
    }
    transaction
        .prepare_cached("UPDATE jobs SET put_back = 1 WHERE number = ?1")?
        .execute(params![number])?;
    requeue(transaction, number)
}

pub(super) fn requeue(transaction: &Transaction<'_>, number: i64) -> Result<(), StoreError> {
    close_run(transaction, number)?;
    transaction
        .prepare_cached("UPDATE jobs SET state = ?2 WHERE number = ?1")?
        .execute(params![number, JobState::Queued.number()])?;
    let event = Event::StateChanged {
        state: JobState::Queued,
        device: String::new(),
        reason: String::new(),
    };
    append(transaction, number, &event)?;
    Ok(())
}
