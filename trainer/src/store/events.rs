//! Events and curve rows of jobs: appended in batches, numbered without gaps, read in bounded
//! pages.

use super::{error::StoreError, handle::Store};
use crate::{
    job::{CurveRow, Event, JobId, Publishing, now_us},
    wire,
};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use std::time::Duration;

/// Events that are read at once.
const MAX_EVENTS: i64 = 256;

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its number in the job, from 1.
    pub sequence: u64,
    /// The encoded message of WatchJob.
    pub message: Vec<u8>,
}

/// Evenly spaced rows of a curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// Some of the rows, oldest first, the first and the last included.
    pub rows: Vec<CurveRow>,
    /// Number of all rows.
    pub total: u64,
}

impl Store {
    /// Appends rows to a job's curves, each with its event, after `spent` of training over all
    /// attempts. Rows that an earlier attempt recorded are kept: a resumed training produces the
    /// same again, but for the last bits on a GPU. Returns the rows that are new.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn append_rows(
        &self,
        job: JobId,
        rows: Vec<CurveRow>,
        spent: Duration,
    ) -> Result<Vec<CurveRow>, StoreError> {
        let writing = self.write_lazily(move |transaction| {
            let number = number_of(transaction, job)?;
            let new = append_new_rows(transaction, number, rows)?;
            record_spent(transaction, number, spent)?;
            Ok((last_event(transaction, number)?, new))
        });
        let (last, new) = writing.await?;
        self.signals().announce(job, last);
        Ok(new)
    }

    /// Appends the event that a checkpoint of a running job waits for the storage, or no longer does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_publishing(
        &self,
        job: JobId,
        publishing: Option<Publishing>,
    ) -> Result<(), StoreError> {
        let writing = self.write(move |transaction| {
            let number = number_of(transaction, job)?;
            append(transaction, number, &Event::Publishing(publishing))
        });
        let last = writing.await?;
        self.signals().announce(job, last);
        Ok(())
    }

    /// Up to 256 events of `job` after `sequence`, oldest first, and whether the job has ended.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`] and the rest of [`StoreError`].
    pub async fn events_after(
        &self,
        job: JobId,
        sequence: u64,
    ) -> Result<(Vec<StoredEvent>, bool), StoreError> {
        self.read(move |connection| {
            let (number, state): (i64, i32) = connection
                .prepare_cached("SELECT number, state FROM jobs WHERE id = ?1")?
                .query_row(params![job.to_string()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?
                .ok_or(StoreError::NoSuchJob)?;
            let mut statement = connection.prepare_cached(
                "SELECT sequence, event FROM events WHERE job = ?1 AND sequence > ?2
                 ORDER BY sequence LIMIT ?3",
            )?;
            let after = i64::try_from(sequence).unwrap_or(i64::MAX);
            let events = statement
                .query_map(params![number, after, MAX_EVENTS], |row| {
                    Ok(StoredEvent {
                        sequence: row.get(0)?,
                        message: row.get(1)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            let ended =
                crate::job::JobState::from_number(state).is_some_and(|state| state.is_end());
            Ok((events, ended))
        })
        .await
    }

    /// The curves of `job` in at most `max_rows` rows (at least 2), evenly chosen.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`] and the rest of [`StoreError`].
    pub async fn history(&self, job: JobId, max_rows: u64) -> Result<Sampled, StoreError> {
        self.read(move |connection| {
            let number = number_of(connection, job)?;
            let total: u64 = connection
                .prepare_cached("SELECT count(*) FROM rows WHERE job = ?1")?
                .query_row(params![number], |row| row.get(0))?;
            let mut statement =
                connection.prepare_cached("SELECT row FROM rows WHERE job = ?1 ORDER BY step")?;
            let mut found = statement.query(params![number])?;
            let mut rows = Vec::new();
            let mut index = 0;
            while let Some(row) = found.next()? {
                if is_sampled(index, total, max_rows.max(2)) {
                    rows.push(read_row(row.get_ref(0)?.as_blob().unwrap_or_default())?);
                }
                index += 1;
            }
            Ok(Sampled { rows, total })
        })
        .await
    }

    /// The newest rows of a job's curves, at most `limit`, oldest first.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`] and the rest of [`StoreError`].
    pub async fn newest_rows(&self, job: JobId, limit: u32) -> Result<Vec<CurveRow>, StoreError> {
        self.read(move |connection| {
            let number = number_of(connection, job)?;
            let mut statement = connection.prepare_cached(
                "SELECT row FROM rows WHERE job = ?1 ORDER BY step DESC LIMIT ?2",
            )?;
            let mut found = statement.query(params![number, limit])?;
            let mut rows = Vec::new();
            while let Some(row) = found.next()? {
                rows.push(read_row(row.get_ref(0)?.as_blob().unwrap_or_default())?);
            }
            rows.reverse();
            Ok(rows)
        })
        .await
    }
}

/// Whether row `index` of `total` is one of at most `bound` evenly spread ones; the first and the
/// last always are.
fn is_sampled(index: u64, total: u64, bound: u64) -> bool {
    if total <= bound {
        return true;
    }
    // Sample k is row ⌊k·(total−1)/(bound−1)⌋, so `index` is one when some k falls on it.
    let (index, last, gaps) = (
        u128::from(index),
        u128::from(total - 1),
        u128::from(bound - 1),
    );
    let k = (index * gaps).div_ceil(last);
    k * last / gaps == index
}

fn read_row(bytes: &[u8]) -> Result<CurveRow, StoreError> {
    wire::row_from(bytes).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Step of the newest row; `None` before the first.
fn newest_step(connection: &Connection, number: i64) -> Result<Option<u64>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT max(step) FROM rows WHERE job = ?1")?
        .query_row(params![number], |row| row.get(0))?)
}

/// Appends the rows that are new, each with its event, and returns them.
pub(super) fn append_new_rows(
    transaction: &Transaction<'_>,
    number: i64,
    mut rows: Vec<CurveRow>,
) -> Result<Vec<CurveRow>, StoreError> {
    let recorded = newest_step(transaction, number)?;
    rows.retain(|row| Some(row.step) > recorded);
    for row in &rows {
        record_row(transaction, number, row)?;
        append(transaction, number, &Event::Row(row.clone()))?;
    }
    Ok(rows)
}

fn record_row(
    transaction: &Transaction<'_>,
    number: i64,
    row: &CurveRow,
) -> Result<(), StoreError> {
    let step = row.step;
    transaction
        .prepare_cached("INSERT INTO rows (job, step, row) VALUES (?1, ?2, ?3)")?
        .execute(params![number, step, wire::row_bytes(row)])?;
    transaction
        .prepare_cached("UPDATE jobs SET epoch = ?2, step = ?3 WHERE number = ?1")?
        .execute(params![number, row.epoch, step])?;
    Ok(())
}

/// Records the time of training over all attempts, which never shrinks.
pub(super) fn record_spent(
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

/// Records the step of the newest resume bundle: a bundle that gets further is progress.
pub(super) fn record_bundle_step(
    transaction: &Transaction<'_>,
    number: i64,
    step: u64,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "UPDATE jobs SET bundle_step = ?2, crashes = 0 WHERE number = ?1 AND bundle_step < ?2",
        )?
        .execute(params![number, step])?;
    Ok(())
}

/// The number of a job by its id.
pub(super) fn number_of(connection: &Connection, job: JobId) -> Result<i64, StoreError> {
    connection
        .prepare_cached("SELECT number FROM jobs WHERE id = ?1")?
        .query_row(params![job.to_string()], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::NoSuchJob)
}

/// Sequence number of a job's newest event.
pub(super) fn last_event(connection: &Connection, number: i64) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT last_event FROM jobs WHERE number = ?1")?
        .query_row(params![number], |row| row.get(0))?)
}

/// Appends an event; its sequence number.
pub(super) fn append(
    transaction: &Transaction<'_>,
    number: i64,
    event: &Event,
) -> Result<u64, StoreError> {
    let sequence: u64 = transaction
        .prepare_cached(
            "UPDATE jobs SET last_event = last_event + 1 WHERE number = ?1 RETURNING last_event",
        )?
        .query_row(params![number], |row| row.get(0))?;
    let at_us = now_us();
    let message = prost::Message::encode_to_vec(&wire::event(sequence, at_us, event));
    transaction
        .prepare_cached("INSERT INTO events (job, sequence, at_us, event) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![number, sequence, at_us, message])?;
    Ok(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_first_and_last_and_the_bound() {
        for total in [0_u64, 1, 2, 3, 10, 45, 99, 100, 101, 12_345] {
            for bound in [2_u64, 3, 7, 100, 10_000] {
                let chosen: Vec<u64> = (0..total)
                    .filter(|&index| is_sampled(index, total, bound))
                    .collect();
                assert_eq!(chosen.len() as u64, total.min(bound), "{total} in {bound}");
                if total > 0 {
                    assert_eq!(chosen.first(), Some(&0), "{total} in {bound}");
                    assert_eq!(chosen.last(), Some(&(total - 1)), "{total} in {bound}");
                }
            }
        }
    }
}
