//! What is to happen with a checkpoint, written before its first byte goes to the storage.

use super::{Store, StoreError, events::append, events::number_of};
use crate::job::{Event, JobId, now_us};
use digits_checkpoint::id::CheckpointId;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

/// How far a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentionState {
    /// Its bytes may be under way.
    Planned,
    /// Its manifest is on the storage.
    Committed,
    /// Its job's promotion policy has been carried out.
    Done,
    /// It never got its manifest and never will.
    Abandoned,
}

impl IntentionState {
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

/// A checkpoint and what is to happen with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intention {
    /// The checkpoint.
    pub id: CheckpointId,
    /// The job that makes it.
    pub job: JobId,
    /// Epoch after which it is taken.
    pub epoch: u32,
    /// Steps done.
    pub step: u64,
    /// Promotion policy, as the contract numbers it.
    pub promotion: i32,
    /// Digest of `model.safetensors`.
    pub weights_sha256: String,
    /// How far it is.
    pub state: IntentionState,
    /// The serving record that names it; 0 for none.
    pub serving_sequence: u64,
}

const COLUMNS: &str = "checkpoints.id AS id, jobs.id AS job, checkpoints.epoch AS epoch,
    checkpoints.step AS step, promotion, weights_sha256, checkpoints.state AS state, serving_sequence
    FROM checkpoints JOIN jobs ON jobs.number = checkpoints.job";

impl Store {
    /// Writes down that a checkpoint is about to be published.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn plan_checkpoint(&self, intention: Intention) -> Result<(), StoreError> {
        self.write_blocking(move |transaction| {
            let number = number_of(transaction, intention.job)?;
            transaction
                .prepare_cached(
                    "INSERT INTO checkpoints (id, job, epoch, step, promotion, weights_sha256, state, planned_us)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    intention.id.to_string(),
                    number,
                    intention.epoch,
                    intention.step,
                    intention.promotion,
                    intention.weights_sha256,
                    IntentionState::Planned.number(),
                    now_us(),
                ])?;
            Ok(())
        })
    }

    /// The manifest of a checkpoint is on the storage.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn checkpoint_committed(&self, id: CheckpointId) -> Result<(), StoreError> {
        self.write_blocking(move |transaction| {
            set_state(transaction, id, IntentionState::Committed)
        })
    }

    /// A checkpoint will not be published.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn checkpoint_abandoned(&self, id: CheckpointId) -> Result<(), StoreError> {
        self.write_blocking(move |transaction| {
            set_state(transaction, id, IntentionState::Abandoned)
        })
    }

    /// The promotion policy has been carried out; `sequence` is the record that names the checkpoint, 0
    /// for none. Watchers learn of the checkpoint.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn checkpoint_done(&self, id: CheckpointId, sequence: u64) -> Result<(), StoreError> {
        let (job, last) = self.write_blocking(move |transaction| {
            let intention = read(transaction, id)?;
            let number = number_of(transaction, intention.job)?;
            set_state(transaction, id, IntentionState::Done)?;
            transaction
                .prepare_cached("UPDATE checkpoints SET serving_sequence = ?2 WHERE id = ?1")?
                .execute(params![id.to_string(), sequence])?;
            let ended: bool = transaction
                .prepare_cached("SELECT state >= 3 FROM jobs WHERE number = ?1")?
                .query_row(params![number], |row| row.get(0))?;
            if ended {
                // Nothing follows the event of the end.
                return Ok((intention.job, 0));
            }
            let event = Event::CheckpointPublished {
                id,
                epoch: intention.epoch,
                sequence,
            };
            Ok((intention.job, append(transaction, number, &event)?))
        })?;
        self.signals().announce(job, last);
        Ok(())
    }

    /// Checkpoints of which the last process did not see the end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unfinished_checkpoints(&self) -> Result<Vec<Intention>, StoreError> {
        self.read_blocking(|connection| {
            let query = format!(
                "SELECT {COLUMNS} WHERE checkpoints.state IN (1, 2) ORDER BY checkpoints.number"
            );
            collect(connection, &query, [])
        })
    }

    /// Checkpoints of which the end is not written down yet: retention must not take them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn under_way(&self) -> Result<Vec<CheckpointId>, StoreError> {
        self.read(|connection| {
            let query = format!("SELECT {COLUMNS} WHERE checkpoints.state IN (1, 2)");
            let intentions = collect(connection, &query, [])?;
            Ok(intentions.into_iter().map(|it| it.id).collect())
        })
        .await
    }

    /// The checkpoint with these weights that an earlier attempt of `job` committed after `epoch`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn committed_before(
        &self,
        job: JobId,
        epoch: u32,
        weights_sha256: String,
    ) -> Result<Option<Intention>, StoreError> {
        self.read_blocking(move |connection| {
            let query = format!(
                "SELECT {COLUMNS} WHERE jobs.id = ?1 AND checkpoints.epoch = ?2
                   AND weights_sha256 = ?3 AND checkpoints.state IN (2, 3)"
            );
            let found: Vec<Intention> = collect(
                connection,
                &query,
                params![job.to_string(), epoch, weights_sha256],
            )?;
            Ok(found.into_iter().next())
        })
    }
}

/// Ids of what a job has committed, oldest first.
pub(super) fn published(connection: &Connection, number: i64) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM checkpoints WHERE job = ?1 AND state IN (2, 3) ORDER BY number",
    )?;
    let ids = statement
        .query_map(params![number], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(ids)
}

fn set_state(
    transaction: &Transaction<'_>,
    id: CheckpointId,
    state: IntentionState,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached("UPDATE checkpoints SET state = ?2 WHERE id = ?1")?
        .execute(params![id.to_string(), state.number()])?;
    Ok(())
}

fn read(connection: &Connection, id: CheckpointId) -> Result<Intention, StoreError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} WHERE checkpoints.id = ?1"))?
        .query_row(params![id.to_string()], |row| Ok(from_row(row)))
        .optional()?
        .ok_or_else(|| StoreError::Corrupt(format!("no intention for checkpoint {id}")))?
}

fn collect(
    connection: &Connection,
    query: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<Intention>, StoreError> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(from_row(row)?);
    }
    Ok(found)
}

fn from_row(row: &Row<'_>) -> Result<Intention, StoreError> {
    let corrupt = |error: &dyn std::fmt::Display| StoreError::Corrupt(error.to_string());
    let id: String = row.get("id")?;
    let job: String = row.get("job")?;
    let state: i32 = row.get("state")?;
    Ok(Intention {
        id: id.parse().map_err(|error| corrupt(&error))?,
        job: job.parse().map_err(|error| corrupt(&error))?,
        epoch: row.get("epoch")?,
        step: row.get("step")?,
        promotion: row.get("promotion")?,
        weights_sha256: row.get("weights_sha256")?,
        state: IntentionState::from_number(state).ok_or_else(|| corrupt(&state))?,
        serving_sequence: row.get("serving_sequence")?,
    })
}
