//! What jobs have published: ids of checkpoints, and the decisions about their promotion.

use super::{
    error::{StoreError, corrupt},
    handle::Store,
};
use crate::{
    job::{JobId, JobState},
    wire,
};
use digits_checkpoint::{
    id::CheckpointId,
    serving::{Decision, PreviousPrimary},
};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::HashMap;

/// What the database has of a published checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// State of its job.
    pub state: JobState,
    /// Decision about its promotion; `None` before it is made, or where an earlier version made it.
    pub decision: Option<Decision>,
}

/// What a job has published.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Number of its checkpoints.
    pub count: u64,
    /// Ids of the newest of them, oldest first.
    pub ids: Vec<String>,
    /// The newest one with the decision about its promotion, if that was recorded.
    pub newest: Option<(CheckpointId, Decision)>,
    /// The primary that the first promoted one replaced.
    pub replaced: Option<PreviousPrimary>,
}

impl Store {
    /// What the database has of these checkpoints; those of other databases are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn publications(
        &self,
        ids: Vec<CheckpointId>,
    ) -> Result<HashMap<CheckpointId, Publication>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT jobs.state, decision FROM checkpoints
                 JOIN jobs ON jobs.number = checkpoints.job WHERE checkpoints.id = ?1",
            )?;
            let mut found = HashMap::new();
            for id in ids {
                let row: Option<(i32, Option<Vec<u8>>)> = statement
                    .query_row(params![id.to_string()], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .optional()?;
                if let Some((state, decision)) = row {
                    let state = JobState::from_number(state);
                    let publication = Publication {
                        state: state.ok_or_else(|| corrupt("the state of a job"))?,
                        decision: decision.as_deref().map(decoded).transpose()?,
                    };
                    found.insert(id, publication);
                }
            }
            Ok(found)
        })
        .await
    }
}

impl Store {
    /// Jobs that were cancelled or failed, have published checkpoints, and are not marked on the
    /// storage yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unmarked_jobs(&self) -> Result<Vec<(JobId, JobState)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, state FROM jobs WHERE state IN (4, 5) AND marked = 0 AND EXISTS (
                     SELECT 1 FROM checkpoints WHERE job = jobs.number AND checkpoints.state IN (2, 3)
                 ) ORDER BY number",
            )?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                let state = JobState::from_number(row.get(1)?);
                let state = state.ok_or_else(|| corrupt("the state of a job"))?;
                found.push((id.parse().map_err(corrupt)?, state));
            }
            Ok(found)
        })
        .await
    }

    /// Records that a job is marked on the storage.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job_marked(&self, job: JobId) -> Result<(), StoreError> {
        self.write(move |transaction| {
            transaction
                .prepare_cached("UPDATE jobs SET marked = 1 WHERE id = ?1")?
                .execute(params![job.to_string()])?;
            Ok(())
        })
        .await
    }
}

/// What a job has published, with the ids of the newest `limit`.
pub(super) fn published(
    connection: &Connection,
    job: i64,
    limit: usize,
) -> Result<Published, StoreError> {
    let count = connection
        .prepare_cached("SELECT count(*) FROM checkpoints WHERE job = ?1 AND state IN (2, 3)")?
        .query_row(params![job], |row| row.get(0))?;
    if count == 0 {
        return Ok(Published::default());
    }
    let mut ids = connection
        .prepare_cached(
            "SELECT id FROM checkpoints WHERE job = ?1 AND state IN (2, 3)
             ORDER BY number DESC LIMIT ?2",
        )?
        .query_map(params![job, limit], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    ids.reverse();
    let newest: Option<(String, Option<Vec<u8>>)> = connection
        .prepare_cached(
            "SELECT id, decision FROM checkpoints WHERE job = ?1 AND state = 3
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row(params![job], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let newest = match newest {
        Some((id, Some(bytes))) => Some((id.parse().map_err(corrupt)?, decoded(&bytes)?)),
        _ => None,
    };
    let first: Option<Option<Vec<u8>>> = connection
        .prepare_cached(
            "SELECT decision FROM checkpoints WHERE job = ?1 AND serving_sequence > 0
             ORDER BY number LIMIT 1",
        )?
        .query_row(params![job], |row| row.get(0))
        .optional()?;
    let first = first.flatten().as_deref().map(decoded).transpose()?;
    Ok(Published {
        count,
        ids,
        newest,
        replaced: first.and_then(|decision| decision.before),
    })
}

fn decoded(bytes: &[u8]) -> Result<Decision, StoreError> {
    wire::decision_from(bytes).map_err(corrupt)
}
