//! Sweeps: stored with their trials, read, listed, cancelled.

use super::{
    error::StoreError,
    handle::Store,
    jobs::checkpoint_ids,
    sweep_record::{Sweep, read, read_listed},
    trials::insert_trials,
};
use crate::{
    job::now_us,
    sweep::{NewTrial, Rung, SweepId, SweepState},
    wire::SweepMessage,
};
use digits_checkpoint::id::CheckpointId;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use std::collections::BTreeSet;

/// Sweeps that may run at a time.
const MAX_RUNNING: u64 = 16;
/// Sweeps that are over, newest first, whose best checkpoint is kept.
const KEPT: u32 = 20;

/// A sweep to store.
#[derive(Clone, Debug)]
pub struct NewSweep {
    /// Its id.
    pub id: SweepId,
    /// The caller's idempotency key.
    pub request_id: String,
    /// The spec as requested.
    pub message: SweepMessage,
    /// Its display name; may be empty.
    pub name: String,
    /// Model of its checkpoints.
    pub model: String,
    /// Fields that trials differ in.
    pub fields: Vec<String>,
    /// Its rungs, at least one.
    pub rungs: Vec<Rung>,
    /// Trials of the first rung.
    pub trials: Vec<NewTrial>,
    /// The checkpoint that all trials start from.
    pub parent: Option<CheckpointId>,
    /// Name of the client; empty where clients need not prove who they are.
    pub submitted_by: String,
}

/// The result of a submission.
#[derive(Clone, Debug)]
pub enum SweepSubmitted {
    /// Stored by this call.
    New(Box<Sweep>),
    /// Stored by an earlier call of the same request.
    Existing(Box<Sweep>),
}

impl Store {
    /// The sweep of an earlier submission with this request id and the same spec.
    ///
    /// # Errors
    /// [`StoreError::RequestIdTaken`] where the spec differs.
    pub async fn find_sweep(
        &self,
        request_id: &str,
        key: Vec<u8>,
    ) -> Result<Option<Sweep>, StoreError> {
        let request_id = request_id.to_owned();
        self.read(move |connection| find(connection, &request_id, &key))
            .await
    }

    /// Stores a sweep with its trials, unless the same request was stored before; durable when it
    /// returns.
    ///
    /// # Errors
    /// [`StoreError::TooManySweeps`]; [`StoreError::RequestIdTaken`].
    pub async fn submit_sweep(&self, new: NewSweep) -> Result<SweepSubmitted, StoreError> {
        let writing = self.write(move |transaction| {
            if let Some(sweep) = find(transaction, &new.request_id, &new.message.key())? {
                return Ok(SweepSubmitted::Existing(Box::new(sweep)));
            }
            let running: u64 = transaction
                .prepare_cached("SELECT count(*) FROM sweeps WHERE state = ?1")?
                .query_row(params![SweepState::Running.number()], |row| row.get(0))?;
            if running >= MAX_RUNNING {
                return Err(StoreError::TooManySweeps { running });
            }
            let number = insert(transaction, &new)?;
            insert_trials(transaction, number, 1, &new.trials)?;
            Ok(SweepSubmitted::New(Box::new(read(transaction, number)?)))
        });
        self.for_client(writing).await
    }

    /// A sweep with its trials.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSweep`].
    pub async fn sweep(&self, id: SweepId) -> Result<Sweep, StoreError> {
        self.read(move |connection| read(connection, number_of(connection, id)?))
            .await
    }

    /// At most `limit` sweeps without their trials, newest first, accepted before the sweep of
    /// number `before`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweeps(&self, before: Option<i64>, limit: u32) -> Result<Vec<Sweep>, StoreError> {
        self.read(move |connection| {
            let numbers: Vec<i64> = connection
                .prepare_cached(
                    "SELECT number FROM sweeps WHERE number < ?1 ORDER BY number DESC LIMIT ?2",
                )?
                .query_map(params![before.unwrap_or(i64::MAX), limit], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let sweeps = numbers
                .into_iter()
                .map(|number| read_listed(connection, number));
            sweeps.collect()
        })
        .await
    }

    /// Marks a running sweep as to be cancelled; one that is over stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSweep`].
    pub async fn cancel_sweep(&self, id: SweepId) -> Result<Sweep, StoreError> {
        let writing = self.write_urgent(move |transaction| {
            let number = number_of(transaction, id)?;
            transaction
                .prepare_cached(
                    "UPDATE sweeps SET cancel_requested = 1 WHERE number = ?1 AND state = ?2",
                )?
                .execute(params![number, SweepState::Running.number()])?;
            read(transaction, number)
        });
        self.for_client(writing).await
    }

    /// Checkpoints that running sweeps start from or compare, and the best ones of the newest
    /// sweeps that are over: retention must not delete them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn needed_by_sweeps(&self) -> Result<BTreeSet<CheckpointId>, StoreError> {
        self.read(|connection| {
            let mut running = connection.prepare_cached(
                "SELECT parent FROM sweeps WHERE state = ?1 AND parent <> ''
                 UNION SELECT checkpoint FROM trials JOIN sweeps ON sweeps.number = trials.sweep
                 WHERE state = ?1 AND checkpoint <> ''",
            )?;
            let mut needed = checkpoint_ids(running.query(params![SweepState::Running.number()])?)?;
            let over: Vec<i64> = connection
                .prepare_cached(
                    "SELECT number FROM sweeps WHERE state <> ?1 ORDER BY number DESC LIMIT ?2",
                )?
                .query_map(params![SweepState::Running.number(), KEPT], |row| {
                    row.get(0)
                })?
                .collect::<Result<_, _>>()?;
            for number in over {
                let best = read_listed(connection, number)?.best;
                needed.extend(best.and_then(|trial| trial.checkpoint));
            }
            Ok(needed)
        })
        .await
    }
}

fn number_of(connection: &Connection, id: SweepId) -> Result<i64, StoreError> {
    connection
        .prepare_cached("SELECT number FROM sweeps WHERE id = ?1")?
        .query_row(params![id.to_string()], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::NoSuchSweep)
}

fn find(
    connection: &Connection,
    request_id: &str,
    request_key: &[u8],
) -> Result<Option<Sweep>, StoreError> {
    let found: Option<(i64, Vec<u8>)> = connection
        .prepare_cached("SELECT number, request_key FROM sweeps WHERE request_id = ?1")?
        .query_row(params![request_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        None => Ok(None),
        Some((_, key)) if key != request_key => Err(StoreError::RequestIdTaken),
        Some((number, _)) => read(connection, number).map(Some),
    }
}

fn insert(transaction: &Transaction<'_>, new: &NewSweep) -> Result<i64, StoreError> {
    let json = |value: serde_json::Result<String>| {
        value.map_err(|error| StoreError::Corrupt(error.to_string()))
    };
    transaction
        .prepare_cached(
            "INSERT INTO sweeps (id, request_id, request_key, spec, name, model, fields, rungs, rung, state,
                                 created_us, parent, submitted_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            new.id.to_string(),
            new.request_id,
            new.message.key(),
            new.message.encode(),
            new.name,
            new.model,
            json(serde_json::to_string(&new.fields))?,
            json(serde_json::to_string(&new.rungs))?,
            SweepState::Running.number(),
            now_us(),
            new.parent.map(|id| id.to_string()).unwrap_or_default(),
            new.submitted_by,
        ])?;
    Ok(transaction.last_insert_rowid())
}
