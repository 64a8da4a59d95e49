//! Why the worker of an open attempt does not run yet. Such a job counts as queued for whoever reads
//! it, and as running in the table of jobs: no other worker claims it.

use super::{
    error::{StoreError, corrupt},
    events::{append, last_event, number_of},
    handle::Store,
};
use crate::job::{Event, JobId, JobState, WaitCause, now_us};
use rusqlite::{Connection, OptionalExtension as _, params};

/// Why the worker of a job does not run yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What it waits for.
    pub cause: WaitCause,
    /// The same in words.
    pub reason: String,
    /// Since when it waits for this, in microseconds since 1970.
    pub since_us: i64,
}

/// Whether the worker of the running job `number` does not run yet.
pub(super) const WAITS: &str =
    "EXISTS (SELECT 1 FROM runs WHERE job = number AND open = 1 AND waiting > 0)";

impl Store {
    /// Records why the worker of the open attempt does not run yet; `None` once it does. Another
    /// cause is an event of the job, another reason is not: it may change with every pod of a
    /// cluster.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_waiting(
        &self,
        job: JobId,
        attempt: u32,
        now: Option<(WaitCause, String)>,
    ) -> Result<(), StoreError> {
        let writing = self.write(move |transaction| {
            let number = number_of(transaction, job)?;
            let before = waiting(transaction, number)?;
            let (cause, reason) = match &now {
                Some((cause, reason)) => (cause.number(), reason.as_str()),
                None => (0, ""),
            };
            let same = before.as_ref().map(|before| before.cause) == now.as_ref().map(|now| now.0);
            let since = before
                .filter(|_| same)
                .map_or_else(now_us, |it| it.since_us);
            let changed = transaction
                .prepare_cached(
                    "UPDATE runs SET waiting = ?3, waiting_reason = ?4, waiting_us = ?5
                     WHERE job = ?1 AND attempt = ?2 AND open = 1",
                )?
                .execute(params![number, attempt, cause, reason, since])?;
            if changed > 0 && !same && now.is_some() {
                let event = Event::StateChanged {
                    state: JobState::Queued,
                    device: String::new(),
                    reason: reason.to_owned(),
                };
                append(transaction, number, &event)?;
            }
            last_event(transaction, number)
        });
        let last = writing.await?;
        self.signals().announce(job, last);
        Ok(())
    }

    /// Number of jobs whose workers do not run yet, by cause.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_waiting(&self) -> Result<Vec<(WaitCause, u64)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT count(*) FROM runs WHERE open = 1 AND waiting = ?1")?;
            let count = |cause: WaitCause| {
                Ok((
                    cause,
                    statement.query_row([cause.number()], |row| row.get(0))?,
                ))
            };
            WaitCause::ALL.into_iter().map(count).collect()
        })
        .await
    }
}

/// Why the worker of a job's open attempt does not run yet.
pub(super) fn waiting(connection: &Connection, number: i64) -> Result<Option<Waiting>, StoreError> {
    let found: Option<(i64, String, i64)> = connection
        .prepare_cached(
            "SELECT waiting, waiting_reason, waiting_us FROM runs
             WHERE job = ?1 AND open = 1 AND waiting > 0",
        )?
        .query_row(params![number], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((cause, reason, since_us)) = found else {
        return Ok(None);
    };
    let cause = WaitCause::from_number(cause).ok_or_else(|| corrupt(format!("cause {cause}")))?;
    Ok(Some(Waiting {
        cause,
        reason,
        since_us,
    }))
}
