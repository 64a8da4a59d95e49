//! The intent log: which checkpoint a job is about to publish, recorded before its first byte goes
//! to the storage, and how far it is.

use super::{
    deliveries,
    error::StoreError,
    events::{append, number_of},
    handle::Store,
};
use crate::{
    job::{Event, JobId, now_us},
    wire::{self, cloud_event},
};
use digits_checkpoint::{
    id::CheckpointId,
    serving::{Decision, Policy, Scope},
};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

/// Stage of the publication of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentState {
    /// Some files of the checkpoint may be on the storage.
    Planned,
    /// The manifest is on the storage.
    Committed,
    /// The job's promotion policy has been applied.
    Done,
    /// The checkpoint has no manifest and never will.
    Abandoned,
}

impl IntentState {
    fn number(self) -> i32 {
        match self {
            Self::Planned => 1,
            Self::Committed => 2,
            Self::Done => 3,
            Self::Abandoned => 4,
        }
    }

    fn from_number(number: i32) -> Option<Self> {
        [Self::Planned, Self::Committed, Self::Done, Self::Abandoned]
            .into_iter()
            .find(|state| state.number() == number)
    }
}

/// A checkpoint that a job publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointIntent {
    /// The checkpoint.
    pub id: CheckpointId,
    /// The job that makes it.
    pub job: JobId,
    /// Epoch after which it is taken.
    pub epoch: u32,
    /// Steps done.
    pub step: u64,
    /// Promotion policy after the publication.
    pub promotion: Policy,
    /// What it may replace.
    pub scope: Scope,
    /// Digest of `model.safetensors`.
    pub weights_sha256: String,
    /// Stage of its publication.
    pub state: IntentState,
    /// The serving record that names it; 0 for none.
    pub serving_sequence: u64,
}

const COLUMNS: &str = "checkpoints.id AS id, jobs.id AS job, checkpoints.epoch AS epoch,
    checkpoints.step AS step, promotion, same_data, weights_sha256, checkpoints.state AS state, serving_sequence
    FROM checkpoints JOIN jobs ON jobs.number = checkpoints.job";

impl Store {
    /// The checkpoint with these weights that an earlier attempt of the job has committed after the
    /// same epoch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn committed_before(
        &self,
        job: JobId,
        epoch: u32,
        weights_sha256: String,
    ) -> Result<Option<CheckpointId>, StoreError> {
        self.read(move |connection| {
            let id: Option<String> = connection
                .prepare_cached(
                    "SELECT checkpoints.id FROM checkpoints JOIN jobs ON jobs.number = checkpoints.job
                     WHERE jobs.id = ?1 AND checkpoints.epoch = ?2 AND weights_sha256 = ?3
                         AND checkpoints.state IN (2, 3)
                     ORDER BY checkpoints.number LIMIT 1",
                )?
                .query_row(params![job.to_string(), epoch, weights_sha256], |row| {
                    row.get(0)
                })
                .optional()?;
            let corrupt = |_| StoreError::Corrupt("a checkpoint's id is no UUID".to_owned());
            id.map(|id| id.parse().map_err(corrupt)).transpose()
        })
        .await
    }

    /// Plans a checkpoint; once, however often it is called. One that was abandoned is planned
    /// again: its draft outlasted the process that lost it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn plan_checkpoint(&self, intent: CheckpointIntent) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let number = number_of(transaction, intent.job)?;
            transaction
                .prepare_cached(
                    "INSERT INTO checkpoints (id, job, epoch, step, promotion, same_data, weights_sha256, state,
                                              planned_us)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                     ON CONFLICT (id) DO UPDATE SET state = ?8 WHERE state = ?10",
                )?
                .execute(params![
                    intent.id.to_string(),
                    number,
                    intent.epoch,
                    intent.step,
                    wire::promotion_number(intent.promotion),
                    intent.scope == Scope::SameData,
                    intent.weights_sha256,
                    IntentState::Planned.number(),
                    now_us(),
                    IntentState::Abandoned.number(),
                ])?;
            Ok(())
        })
        .await
    }

    /// Records that the manifest of a checkpoint is on the storage.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn checkpoint_committed(&self, id: CheckpointId) -> Result<(), StoreError> {
        self.write(move |transaction| set_state(transaction, id, IntentState::Committed))
            .await
    }

    /// Records that a checkpoint will not be published.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn checkpoint_abandoned(&self, id: CheckpointId) -> Result<(), StoreError> {
        self.write(move |transaction| set_state(transaction, id, IntentState::Abandoned))
            .await
    }

    /// Records the decision about the promotion, which has been carried out. Watchers receive an
    /// event.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn checkpoint_done(
        &self,
        id: CheckpointId,
        decision: Decision,
    ) -> Result<(), StoreError> {
        let writing = self.write(move |transaction| {
            let intent = read(transaction, id)?;
            let number = number_of(transaction, intent.job)?;
            set_state(transaction, id, IntentState::Done)?;
            transaction
                .prepare_cached(
                    "UPDATE checkpoints SET serving_sequence = ?2, decision = ?3 WHERE id = ?1",
                )?
                .execute(params![
                    id.to_string(),
                    decision.sequence,
                    wire::decision_bytes(id, &decision)
                ])?;
            deliveries::add_about(transaction, number, |job| {
                let publication = cloud_event::Publication {
                    id,
                    epoch: intent.epoch,
                    step: intent.step,
                    weights_sha256: &intent.weights_sha256,
                    decision: &decision,
                };
                cloud_event::published(job, &publication)
            })?;
            let ended: bool = transaction
                .prepare_cached("SELECT state >= 3 FROM jobs WHERE number = ?1")?
                .query_row(params![number], |row| row.get(0))?;
            if ended {
                // No event may follow the last one.
                return Ok((intent.job, 0));
            }
            let event = Event::CheckpointPublished {
                id,
                epoch: intent.epoch,
                decision,
            };
            Ok((intent.job, append(transaction, number, &event)?))
        });
        let (job, last) = writing.await?;
        self.signals().announce(job, last);
        Ok(())
    }

    /// Checkpoints whose publication the last process did not finish.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unfinished_checkpoints(&self) -> Result<Vec<CheckpointIntent>, StoreError> {
        self.read(|connection| {
            let query = format!(
                "SELECT {COLUMNS} WHERE checkpoints.state IN (1, 2) ORDER BY checkpoints.number"
            );
            collect(connection, &query, [])
        })
        .await
    }

    /// Checkpoints whose publication is not finished: retention must not delete them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn checkpoints_in_progress(&self) -> Result<Vec<CheckpointId>, StoreError> {
        self.read(|connection| {
            let query = format!("SELECT {COLUMNS} WHERE checkpoints.state IN (1, 2)");
            let intents = collect(connection, &query, [])?;
            Ok(intents.into_iter().map(|it| it.id).collect())
        })
        .await
    }
}

fn set_state(
    transaction: &Transaction<'_>,
    id: CheckpointId,
    state: IntentState,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached("UPDATE checkpoints SET state = ?2 WHERE id = ?1")?
        .execute(params![id.to_string(), state.number()])?;
    Ok(())
}

fn read(connection: &Connection, id: CheckpointId) -> Result<CheckpointIntent, StoreError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} WHERE checkpoints.id = ?1"))?
        .query_row(params![id.to_string()], |row| Ok(from_row(row)))
        .optional()?
        .ok_or_else(|| StoreError::Corrupt(format!("no intent for checkpoint {id}")))?
}

fn collect(
    connection: &Connection,
    query: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<CheckpointIntent>, StoreError> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(from_row(row)?);
    }
    Ok(found)
}

fn from_row(row: &Row<'_>) -> Result<CheckpointIntent, StoreError> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(error.to_string());
    let id: String = row.get("id")?;
    let job: String = row.get("job")?;
    let state: i32 = row.get("state")?;
    Ok(CheckpointIntent {
        id: id.parse().map_err(|error| corrupt(&error))?,
        job: job.parse().map_err(|error| corrupt(&error))?,
        epoch: row.get("epoch")?,
        step: row.get("step")?,
        promotion: wire::promotion_policy(row.get("promotion")?),
        scope: match row.get("same_data")? {
            true => Scope::SameData,
            false => Scope::Any,
        },
        weights_sha256: row.get("weights_sha256")?,
        state: IntentState::from_number(state).ok_or_else(|| corrupt(&state))?,
        serving_sequence: row.get("serving_sequence")?,
    })
}
