//! Trials of running sweeps: what the task that runs sweeps reads and records.

use super::{
    error::{StoreError, corrupt},
    handle::Store,
    sweep_record::{Trial, trials},
};
use crate::{
    job::now_us,
    sweep::{NewTrial, Rung, SweepId, SweepState, TrialResult, TrialState},
    wire::{self, SpecMessage},
};
use digits_checkpoint::manifest::Evaluation;
use rusqlite::{Connection, Transaction, params};

/// A running sweep, as far as it goes on now.
#[derive(Clone, Debug)]
pub struct ActiveSweep {
    /// Its number.
    pub number: i64,
    /// Its id.
    pub id: SweepId,
    /// Name of its client.
    pub submitted_by: String,
    /// Whether it is to be cancelled.
    pub cancel_requested: bool,
    /// Its rungs.
    pub rungs: Vec<Rung>,
    /// The newest rung that has begun, from 1.
    pub rung: u32,
    /// Trials without a recorded result, in the order of their numbers: all whose jobs are
    /// submitted, and some that are pending.
    pub open: Vec<Trial>,
}

impl Store {
    /// All running sweeps, each with at most `pending` trials that are pending.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn active_sweeps(&self, pending: usize) -> Result<Vec<ActiveSweep>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT number, id, submitted_by, cancel_requested, rungs, rung FROM sweeps
                 WHERE state = ?1 ORDER BY number",
            )?;
            let mut rows = statement.query(params![SweepState::Running.number()])?;
            let mut active = Vec::new();
            while let Some(row) = rows.next()? {
                let (number, id, rungs): (i64, String, String) =
                    (row.get("number")?, row.get("id")?, row.get("rungs")?);
                active.push(ActiveSweep {
                    number,
                    id: id.parse().map_err(corrupt)?,
                    submitted_by: row.get("submitted_by")?,
                    cancel_requested: row.get("cancel_requested")?,
                    rungs: serde_json::from_str(&rungs).map_err(corrupt)?,
                    rung: row.get("rung")?,
                    open: open(connection, number, pending)?,
                });
            }
            Ok(active)
        })
        .await
    }

    /// The spec of a trial's job.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn trial_spec(&self, sweep: i64, trial: u32) -> Result<SpecMessage, StoreError> {
        self.read(move |connection| {
            let bytes: Vec<u8> = connection
                .prepare_cached("SELECT spec FROM trials WHERE sweep = ?1 AND number = ?2")?
                .query_row(params![sweep, trial], |row| row.get(0))?;
            SpecMessage::decode(&bytes).map_err(corrupt)
        })
        .await
    }

    /// Records the result of a trial.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_trial(
        &self,
        sweep: i64,
        trial: u32,
        result: TrialResult,
    ) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let (measured, error) = match result {
                TrialResult::Measured(id, validation) => (Some((id, validation)), String::new()),
                TrialResult::WithJob => (None, String::new()),
                TrialResult::Without(reason) => (None, reason),
            };
            let validation = measured.as_ref().map(|(_, validation)| validation);
            transaction
                .prepare_cached(
                    "UPDATE trials SET ended = 1, error = ?3, checkpoint = ?4, validation = ?5,
                            correct = ?6, loss = ?7 WHERE sweep = ?1 AND number = ?2",
                )?
                .execute(params![
                    sweep,
                    trial,
                    error,
                    measured.map(|(id, _)| id.to_string()).unwrap_or_default(),
                    validation.map(wire::evaluation_bytes),
                    validation.map(|it| it.correct),
                    validation.map(|it| it.loss),
                ])?;
            Ok(())
        })
        .await
    }

    /// Ends all trials whose jobs are not submitted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_pending_trials(&self, sweep: i64) -> Result<(), StoreError> {
        self.write(move |transaction| {
            transaction
                .prepare_cached(
                    "UPDATE trials SET ended = 1 WHERE sweep = ?1 AND ended = 0 AND NOT EXISTS (
                         SELECT 1 FROM jobs WHERE jobs.request_id = trials.request_id)",
                )?
                .execute(params![sweep])?;
            Ok(())
        })
        .await
    }

    /// The trials of a rung with their results, in the order of their numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rung_trials(
        &self,
        sweep: i64,
        rung: u32,
    ) -> Result<Vec<(NewTrial, Option<Evaluation>)>, StoreError> {
        self.read(move |connection| {
            let of_rung = format!(" AND rung = {rung}");
            let mut specs = connection
                .prepare_cached("SELECT spec FROM trials WHERE sweep = ?1 AND number = ?2")?;
            let found = trials(connection, sweep, &of_rung, |_| true)?;
            let with_spec = found.into_iter().map(|trial| {
                let spec: Vec<u8> =
                    specs.query_row(params![sweep, trial.number], |row| row.get(0))?;
                let stored = NewTrial {
                    number: trial.number,
                    configuration: trial.configuration,
                    values: trial.values,
                    seed: trial.seed,
                    epochs: trial.epochs,
                    spec: SpecMessage::decode(&spec).map_err(corrupt)?,
                };
                Ok((stored, trial.validation))
            });
            with_spec.collect()
        })
        .await
    }

    /// Begins a rung with its trials; does nothing if it has begun.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_rung(
        &self,
        sweep: i64,
        rung: u32,
        trials: Vec<NewTrial>,
    ) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let begun = transaction
                .prepare_cached("UPDATE sweeps SET rung = ?2 WHERE number = ?1 AND rung = ?2 - 1")?
                .execute(params![sweep, rung])?;
            match begun {
                0 => Ok(()),
                _ => insert_trials(transaction, sweep, rung, &trials),
            }
        })
        .await
    }

    /// Ends a sweep.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_sweep(&self, sweep: i64, state: SweepState) -> Result<(), StoreError> {
        self.write(move |transaction| {
            transaction
                .prepare_cached(
                    "UPDATE sweeps SET state = ?2, finished_us = ?3, cancel_requested = 0
                     WHERE number = ?1",
                )?
                .execute(params![sweep, state.number(), now_us()])?;
            Ok(())
        })
        .await
    }
}

/// Trials are submitted in the order of their numbers: behind those that are there are only pending
/// ones.
fn open(connection: &Connection, sweep: i64, pending: usize) -> Result<Vec<Trial>, StoreError> {
    let mut left = pending.max(1);
    trials(connection, sweep, " AND ended = 0", |trial| {
        if trial.state == TrialState::Pending {
            left -= 1;
        }
        left > 0
    })
}

/// Inserts the trials of a rung. The request id of a trial's job follows from sweep and number, so
/// that however often the job is submitted, there is one.
pub(super) fn insert_trials(
    transaction: &Transaction<'_>,
    sweep: i64,
    rung: u32,
    trials: &[NewTrial],
) -> Result<(), StoreError> {
    let id: String = transaction
        .prepare_cached("SELECT id FROM sweeps WHERE number = ?1")?
        .query_row(params![sweep], |row| row.get(0))?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO trials (sweep, number, rung, configuration, choice, seed, epochs, request_id, spec)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for trial in trials {
        let choice = serde_json::to_string(&trial.values).map_err(corrupt)?;
        insert.execute(params![
            sweep,
            trial.number,
            rung,
            trial.configuration,
            choice,
            trial.seed,
            trial.epochs,
            format!("sweep/{id}/{}", trial.number),
            trial.spec.encode(),
        ])?;
    }
    Ok(())
}
