//! Recovers, at startup, the jobs that ran when the last process died.

use super::{
    claim::{MAX_CRASHES, first_running, requeue},
    error::StoreError,
    handle::Store,
    job_record::read,
    outcome::{JobOutcome, end_job},
};
use crate::job::{JobId, JobState};
use rusqlite::{Connection, params};

/// Outcome of the recovery at startup, for the jobs that ran when the last process died.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Back in the queue, to be resumed.
    pub resumed: Vec<JobId>,
    /// Failed after [`MAX_CRASHES`] crashes in a row.
    pub abandoned: Vec<JobId>,
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

    /// Queues the jobs that ran when the last process died, each to be resumed, and abandons those
    /// under which [`MAX_CRASHES`] processes have died in a row without progress of the resume
    /// bundle.
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
                    end_job(transaction, number, &JobOutcome::cancelled())?;
                } else if crashes >= MAX_CRASHES {
                    let error = format!(
                        "the trainer's process died {crashes} times in a row while this job ran, and it got no further than step {}: it may need more memory than the machine has",
                        bundle_step(transaction, number)?
                    );
                    end_job(transaction, number, &JobOutcome::failed(error))?;
                    recovery.abandoned.push(job.id);
                } else {
                    requeue(transaction, number)?;
                    recovery.resumed.push(job.id);
                }
            }
            Ok(recovery)
        })
        .await
    }
}

fn bundle_step(connection: &Connection, number: i64) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT bundle_step FROM jobs WHERE number = ?1")?
        .query_row(params![number], |row| row.get(0))?)
}
