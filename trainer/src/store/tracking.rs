//! How far experiment trackers are in the events of jobs. The events are the outbox: a tracker
//! takes them in from its position on, and nothing more is written while a job is trained.

use super::{
    error::{StoreError, corrupt},
    handle::Store,
};
use crate::job::{JobId, JobState};
use rusqlite::{Connection, OptionalExtension as _, params};

/// How far a tracker is in the events of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Sequence of the last event that it has taken in; 0 for none.
    pub event: u64,
    /// What the tracker has noted there.
    pub mark: u64,
}

/// A job with events that a tracker has not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UntrackedJob {
    /// Number of the job.
    pub number: i64,
    /// Its id.
    pub id: JobId,
    /// How far the tracker is.
    pub position: Position,
}

/// What a tracker has not taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Untracked {
    /// The jobs up to this number are over and taken in.
    pub complete: i64,
    /// Jobs with events, in the order of their acceptance.
    pub jobs: Vec<UntrackedJob>,
    /// Number of all jobs with events.
    pub waiting: u64,
    /// When the oldest event of `jobs` was written, in microseconds since 1970.
    pub oldest_us: Option<i64>,
}

impl Store {
    /// Has a tracker begin at `target`, with the jobs that are not over and all later ones; or go
    /// on, if it was there before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_tracker(
        &self,
        name: &'static str,
        target: String,
    ) -> Result<(), StoreError> {
        let known = self.read(move |connection| known_target(connection, name));
        if known.await?.as_ref() == Some(&target) {
            return Ok(());
        }
        self.write(move |transaction| {
            transaction.execute("DELETE FROM tracked WHERE tracker = ?1", params![name])?;
            transaction.execute(
                "INSERT INTO trackers (name, target, since) VALUES (?1, ?2, coalesce(
                     (SELECT min(number) - 1 FROM jobs WHERE state IN (?3, ?4)),
                     (SELECT max(number) FROM jobs), 0))
                 ON CONFLICT (name) DO UPDATE SET target = excluded.target, since = excluded.since",
                params![
                    name,
                    target,
                    JobState::Queued.number(),
                    JobState::Running.number()
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Up to `limit` jobs that have started and have events that a tracker has not taken in. The
    /// jobs up to the number `complete` are known to have none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn untracked(
        &self,
        tracker: &'static str,
        complete: i64,
        limit: usize,
    ) -> Result<Untracked, StoreError> {
        self.read(move |connection| untracked(connection, tracker, complete, limit))
            .await
    }

    /// Records how far a tracker is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_tracked(
        &self,
        tracker: &'static str,
        job: i64,
        position: Position,
    ) -> Result<(), StoreError> {
        self.write_lazily(move |transaction| {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO tracked (tracker, job, event, mark) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![tracker, job, position.event, position.mark])?;
            Ok(())
        })
        .await
    }

    /// Whether a tracker has taken in all events of a job that is over; nothing for a job that it
    /// does not track.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_tracked(
        &self,
        tracker: &'static str,
        job: JobId,
    ) -> Result<Option<bool>, StoreError> {
        self.read(move |connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT jobs.state >= ?3 AND coalesce(tracked.event, 0) >= jobs.last_event FROM jobs
                     LEFT JOIN tracked ON tracked.tracker = ?1 AND tracked.job = jobs.number
                     WHERE jobs.id = ?2 AND jobs.number > (SELECT since FROM trackers WHERE name = ?1)",
                )?
                .query_row(
                    params![tracker, job.to_string(), JobState::Succeeded.number()],
                    |row| row.get(0),
                )
                .optional()?)
        })
        .await
    }
}

fn known_target(connection: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT target FROM trackers WHERE name = ?1")?
        .query_row(params![name], |row| row.get(0))
        .optional()?)
}

fn untracked(
    connection: &Connection,
    tracker: &str,
    complete: i64,
    limit: usize,
) -> Result<Untracked, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT number, id, state, last_event, started_us, coalesce(event, 0), coalesce(mark, 0)
         FROM jobs LEFT JOIN tracked ON tracked.tracker = ?1 AND tracked.job = number
         WHERE number > max(?2, (SELECT since FROM trackers WHERE name = ?1)) ORDER BY number",
    )?;
    let mut rows = statement.query(params![tracker, complete])?;
    let mut found = Untracked {
        complete,
        ..Untracked::default()
    };
    let mut all_complete = true;
    while let Some(row) = rows.next()? {
        let (number, last): (i64, u64) = (row.get(0)?, row.get(3)?);
        let state = JobState::from_number(row.get(2)?).ok_or_else(|| corrupt("a job's state"))?;
        let position = Position {
            event: row.get(5)?,
            mark: row.get(6)?,
        };
        let behind = position.event < last;
        all_complete &= state.is_end() && !behind;
        if all_complete {
            found.complete = number;
        }
        let started = state != JobState::Queued || row.get::<_, Option<i64>>(4)?.is_some();
        if !behind || !started {
            continue;
        }
        found.waiting += 1;
        if found.jobs.len() < limit {
            let id: String = row.get(1)?;
            let id = id.parse().map_err(corrupt)?;
            found.jobs.push(UntrackedJob {
                number,
                id,
                position,
            });
        }
    }
    for job in &found.jobs {
        let written = next_written(connection, job)?;
        let oldest = [found.oldest_us, written].into_iter().flatten().min();
        found.oldest_us = oldest;
    }
    Ok(found)
}

/// When the first event that a tracker has not taken in was written.
fn next_written(connection: &Connection, job: &UntrackedJob) -> Result<Option<i64>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT at_us FROM events WHERE job = ?1 AND sequence > ?2 ORDER BY sequence LIMIT 1",
        )?
        .query_row(params![job.number, job.position.event], |row| row.get(0))
        .optional()?)
}
