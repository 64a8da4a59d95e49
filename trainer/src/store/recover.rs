//! Recovers jobs whose process died: at startup all that ran, later those whose worker process died.

use super::{
    claim::{MAX_CRASHES, requeue},
    error::StoreError,
    events::{last_event, number_of},
    handle::Store,
    job_record::read,
    outcome::{JobOutcome, end_job},
    runs::orphan_runs,
};
use crate::job::{JobId, JobState};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

/// Outcome of the recovery at startup, for the jobs that ran when the last process died.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Back in the queue, to be resumed.
    pub resumed: Vec<JobId>,
    /// Failed after [`MAX_CRASHES`] crashes in a row.
    pub abandoned: Vec<JobId>,
}

/// Which attempts outlive the process of the trainer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// None: jobs train on its threads.
    Nothing,
    /// The open ones: they have processes of their own, which may have died too.
    OpenAttempts,
}

/// What a crash has done to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Back in the queue, to be resumed.
    Resumed,
    /// Failed after [`MAX_CRASHES`] crashes in a row.
    Abandoned,
    /// Its cancellation had been requested.
    Cancelled,
}

impl Store {
    /// Jobs that are not over.
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
                jobs.push(parse_id(&row.get::<_, String>(0)?)?);
            }
            Ok(jobs)
        })
        .await
    }

    /// Ids and names of the jobs that the last process left running.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn interrupted_jobs(&self) -> Result<Vec<(JobId, String)>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT id, name FROM jobs WHERE state = ?1")?;
            let mut rows = statement.query(params![JobState::Running.number()])?;
            let mut jobs = Vec::new();
            while let Some(row) = rows.next()? {
                jobs.push((parse_id(&row.get::<_, String>(0)?)?, row.get(1)?));
            }
            Ok(jobs)
        })
        .await
    }

    /// Queues the jobs that ran when the last process died, each to be resumed, and abandons those
    /// under which [`MAX_CRASHES`] processes have died in a row without progress of the resume
    /// bundle. Attempts that outlive the process go on; [`Store::claim`] hands them out first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recover(&self, survivors: Survivors) -> Result<Recovery, StoreError> {
        self.write(move |transaction| {
            if survivors == Survivors::OpenAttempts {
                orphan_runs(transaction)?;
            }
            let mut recovery = Recovery::default();
            while let Some(number) = first_dead(transaction)? {
                let job = read(transaction, number)?.id;
                match crash(transaction, number, "the trainer's process")? {
                    Crash::Cancelled => {}
                    Crash::Abandoned => recovery.abandoned.push(job),
                    Crash::Resumed => recovery.resumed.push(job),
                }
            }
            Ok(recovery)
        })
        .await
    }

    /// Records that the worker process of a running job has died: the job is queued again, or
    /// abandoned after [`MAX_CRASHES`] in a row without progress of the resume bundle.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn crashed(&self, job: JobId) -> Result<Crash, StoreError> {
        let (crash, last) = self.write_urgent_blocking(move |transaction| {
            let number = number_of(transaction, job)?;
            let crash = crash(transaction, number, "the worker process")?;
            Ok((crash, last_event(transaction, number)?))
        })?;
        self.signals().announce(job, last);
        Ok(crash)
    }
}

/// The oldest running job without an attempt that goes on.
fn first_dead(connection: &Connection) -> Result<Option<i64>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT number FROM jobs WHERE state = ?1
                 AND NOT EXISTS (SELECT 1 FROM runs WHERE job = number AND orphaned = 1)
             ORDER BY number LIMIT 1",
        )?
        .query_row(params![JobState::Running.number()], |row| row.get(0))
        .optional()?)
}

/// Counts a crash of `process` while the job ran, and queues or ends the job.
fn crash(transaction: &Transaction<'_>, number: i64, process: &str) -> Result<Crash, StoreError> {
    let crashes: u32 = transaction
        .prepare_cached(
            "UPDATE jobs SET crashes = crashes + 1 WHERE number = ?1 RETURNING crashes",
        )?
        .query_row(params![number], |row| row.get(0))?;
    if read(transaction, number)?.cancel_requested {
        end_job(transaction, number, &JobOutcome::cancelled())?;
        return Ok(Crash::Cancelled);
    }
    if crashes >= MAX_CRASHES {
        let error = format!(
            "{process} died {crashes} times in a row while this job ran, and it got no further than step {}: it may need more memory than the machine has",
            bundle_step(transaction, number)?
        );
        end_job(transaction, number, &JobOutcome::failed(error))?;
        return Ok(Crash::Abandoned);
    }
    requeue(transaction, number)?;
    Ok(Crash::Resumed)
}

fn parse_id(id: &str) -> Result<JobId, StoreError> {
    id.parse()
        .map_err(|_| StoreError::Corrupt(format!("job id {id}")))
}

fn bundle_step(connection: &Connection, number: i64) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT bundle_step FROM jobs WHERE number = ?1")?
        .query_row(params![number], |row| row.get(0))?)
}
