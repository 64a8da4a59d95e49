//! Jobs: accepted, read, listed, cancelled.

use super::{
    Store, StoreError,
    events::{append, number_of},
};
use crate::{
    job::{CurveRow, Event, JobId, JobState, NetworkSize, now_us},
    wire,
};
use digits_checkpoint::{id::CheckpointId, manifest::Evaluation};
use rusqlite::{
    Connection, OptionalExtension as _, Row, Transaction, params, params_from_iter, types::Value,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A job that is to be accepted.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The caller's idempotency key.
    pub request_id: String,
    /// What was asked for, in a form that is equal exactly when the specs are.
    pub request_key: Vec<u8>,
    /// The spec as it was asked for.
    pub requested: Vec<u8>,
    /// The spec with every field filled.
    pub resolved: Vec<u8>,
    /// For people.
    pub name: String,
    /// To filter by.
    pub labels: BTreeMap<String, String>,
    /// Passes over the training images.
    pub epochs: u32,
    /// Steps of all epochs.
    pub steps: u64,
    /// What it trains.
    pub network: NetworkSize,
    /// The checkpoint that it starts from.
    pub parent: Option<CheckpointId>,
    /// The W3C `traceparent` that it is submitted under; empty for none.
    pub traceparent: String,
}

/// What became of a submission.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// Accepted now.
    New(Box<Job>),
    /// Accepted by an earlier call of the same request.
    Before(Box<Job>),
}

/// A job as it lies in the database.
#[derive(Clone, Debug)]
pub struct Job {
    /// Order of acceptance, from 1.
    pub number: i64,
    /// Its id.
    pub id: JobId,
    /// The caller's idempotency key.
    pub request_id: String,
    /// The W3C `traceparent` that it was submitted under; empty for none.
    pub traceparent: String,
    /// The spec as it was asked for, encoded.
    pub requested: Vec<u8>,
    /// The spec that is trained, encoded.
    pub resolved: Vec<u8>,
    /// Where it stands.
    pub state: JobState,
    /// When it was accepted, in microseconds since 1970.
    pub created_us: i64,
    /// When its training first began.
    pub started_us: Option<i64>,
    /// When it ended.
    pub finished_us: Option<i64>,
    /// What went wrong, for the client.
    pub error: String,
    /// The device; empty before it started.
    pub device: String,
    /// Digest of its data set; empty before it started.
    pub dataset_digest: String,
    /// How often its training was begun or gone on with; an orderly end of the process in between does not count.
    pub attempts: u32,
    /// Time of training over all attempts.
    pub spent: Duration,
    /// Whether a cancellation waits to be carried out.
    pub cancel_requested: bool,
    /// Its newest event.
    pub last_event: u64,
    /// Passes over the training images.
    pub epochs: u32,
    /// Epoch of the newest row.
    pub epoch: u32,
    /// Step of the newest row.
    pub step: u64,
    /// Steps of all epochs.
    pub steps: u64,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of validation.
    pub validation_seconds: f64,
    /// What it trains.
    pub network: NetworkSize,
    /// The finished network on the test set.
    pub test: Option<Evaluation>,
    /// The newest row of its curves.
    pub latest: Option<CurveRow>,
    /// What it published, oldest first.
    pub checkpoint_ids: Vec<String>,
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// In one of these states; empty for all.
    pub states: Vec<JobState>,
    /// Of this name; empty for all.
    pub name: String,
    /// With all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Accepted before the job of this number.
    pub before: Option<i64>,
    /// How many at the most.
    pub limit: u32,
}

const COLUMNS: &str = "number, id, request_id, requested, resolved, state, created_us, started_us,
    finished_us, error, device, dataset_digest, attempts, cancel_requested, last_event, epochs, epoch,
    step, steps, train_seconds, validation_seconds, network, test, spent_us, traceparent";

impl Store {
    /// The job of an earlier submission with `request_id`, if its spec was the same.
    ///
    /// # Errors
    /// [`StoreError::RequestIdTaken`] where the spec was another.
    pub async fn submitted_before(
        &self,
        request_id: String,
        request_key: Vec<u8>,
    ) -> Result<Option<Job>, StoreError> {
        self.read(move |connection| earlier(connection, &request_id, &request_key))
            .await
    }

    /// Accepts a job, unless the same request was accepted before; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::QueueFull`] where `capacity` jobs wait; [`StoreError::RequestIdTaken`].
    pub async fn submit(&self, new: NewJob, capacity: u64) -> Result<Submitted, StoreError> {
        self.write(move |transaction| {
            if let Some(job) = earlier(transaction, &new.request_id, &new.request_key)? {
                return Ok(Submitted::Before(Box::new(job)));
            }
            let waiting: u64 = transaction
                .prepare_cached("SELECT count(*) FROM jobs WHERE state = ?1")?
                .query_row(params![JobState::Queued.number()], |row| row.get(0))?;
            if waiting >= capacity {
                return Err(StoreError::QueueFull { waiting });
            }
            let number = insert(transaction, &new)?;
            Ok(Submitted::New(Box::new(read(transaction, number)?)))
        })
        .await
    }

    /// A job.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`].
    pub async fn job(&self, id: JobId) -> Result<Job, StoreError> {
        self.read(move |connection| {
            let number = number_of(connection, id)?;
            read(connection, number)
        })
        .await
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn jobs(&self, filter: JobFilter) -> Result<Vec<Job>, StoreError> {
        self.read(move |connection| {
            let (query, values) = query(&filter);
            let numbers: Vec<i64> = connection
                .prepare_cached(&query)?
                .query_map(params_from_iter(values), |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            numbers
                .into_iter()
                .map(|number| read(connection, number))
                .collect()
        })
        .await
    }

    /// Cancels a job: one that waits ends here, one that runs is marked, one that has ended stays.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`].
    pub async fn cancel(&self, id: JobId) -> Result<Job, StoreError> {
        let job = self
            .write(move |transaction| {
                let number = number_of(transaction, id)?;
                let state = read(transaction, number)?.state;
                match state {
                    JobState::Queued => {
                        super::claim::end(transaction, number, &super::Ending::cancelled())?
                    }
                    JobState::Running => {
                        transaction
                            .prepare_cached(
                                "UPDATE jobs SET cancel_requested = 1 WHERE number = ?1",
                            )?
                            .execute(params![number])?;
                    }
                    JobState::Succeeded | JobState::Failed | JobState::Cancelled => {}
                }
                read(transaction, number)
            })
            .await?;
        self.signals().announce(id, job.last_event);
        Ok(job)
    }

    /// The checkpoints that jobs start from which wait or run: retention must not take them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn needed_parents(&self) -> Result<BTreeSet<CheckpointId>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT parent FROM jobs WHERE state IN (?1, ?2) AND parent <> ''",
            )?;
            let states = params![JobState::Queued.number(), JobState::Running.number()];
            let mut rows = statement.query(states)?;
            let mut parents = BTreeSet::new();
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                parents.insert(id.parse().map_err(corrupt)?);
            }
            Ok(parents)
        })
        .await
    }

    /// How many jobs are in each state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count_by_state(&self) -> Result<Vec<(JobState, u64)>, StoreError> {
        self.read(|connection| {
            let mut counts: BTreeMap<i32, u64> = BTreeMap::new();
            let mut statement =
                connection.prepare_cached("SELECT state, count(*) FROM jobs GROUP BY state")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                counts.insert(row.get(0)?, row.get(1)?);
            }
            Ok(JobState::ALL
                .into_iter()
                .map(|state| (state, counts.get(&state.number()).copied().unwrap_or(0)))
                .collect())
        })
        .await
    }
}

fn earlier(
    connection: &Connection,
    request_id: &str,
    request_key: &[u8],
) -> Result<Option<Job>, StoreError> {
    let found: Option<(i64, Vec<u8>)> = connection
        .prepare_cached("SELECT number, request_key FROM jobs WHERE request_id = ?1")?
        .query_row(params![request_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        None => Ok(None),
        Some((_, key)) if key != request_key => Err(StoreError::RequestIdTaken),
        Some((number, _)) => read(connection, number).map(Some),
    }
}

fn insert(transaction: &Transaction<'_>, new: &NewJob) -> Result<i64, StoreError> {
    transaction
        .prepare_cached(
            "INSERT INTO jobs (id, request_id, request_key, name, requested, resolved, state,
                               created_us, epochs, steps, network, parent, traceparent)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            JobId::generate().to_string(),
            new.request_id,
            new.request_key,
            new.name,
            new.requested,
            new.resolved,
            JobState::Queued.number(),
            now_us(),
            new.epochs,
            new.steps,
            wire::network_bytes(&new.network),
            new.parent.map(|id| id.to_string()).unwrap_or_default(),
            new.traceparent,
        ])?;
    let number = transaction.last_insert_rowid();
    for (key, value) in &new.labels {
        transaction
            .prepare_cached("INSERT INTO labels (job, key, value) VALUES (?1, ?2, ?3)")?
            .execute(params![number, key, value])?;
    }
    let event = Event::StateChanged {
        state: JobState::Queued,
        device: String::new(),
    };
    append(transaction, number, &event)?;
    Ok(number)
}

fn query(filter: &JobFilter) -> (String, Vec<Value>) {
    let mut query = "SELECT number FROM jobs WHERE 1".to_owned();
    let mut values = Vec::new();
    if !filter.states.is_empty() {
        // At most five different ones, so that the statements that are kept are few.
        let states: Vec<String> = JobState::ALL
            .into_iter()
            .filter(|state| filter.states.contains(state))
            .map(|state| state.number().to_string())
            .collect();
        query += &format!(" AND state IN ({})", states.join(","));
    }
    if !filter.name.is_empty() {
        query += " AND name = ?";
        values.push(Value::from(filter.name.clone()));
    }
    for (key, value) in &filter.labels {
        query += " AND EXISTS (SELECT 1 FROM labels WHERE job = number AND key = ? AND value = ?)";
        values.push(Value::from(key.clone()));
        values.push(Value::from(value.clone()));
    }
    if let Some(before) = filter.before {
        query += " AND number < ?";
        values.push(Value::from(before));
    }
    query += " ORDER BY number DESC LIMIT ?";
    values.push(Value::from(i64::from(filter.limit)));
    (query, values)
}

/// Reads a job with its newest row and its checkpoints.
pub(super) fn read(connection: &Connection, number: i64) -> Result<Job, StoreError> {
    let mut job = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE number = ?1"))?
        .query_row(params![number], |row| Ok(from_row(row)))
        .optional()?
        .ok_or(StoreError::NoSuchJob)??;
    let latest: Option<Vec<u8>> = connection
        .prepare_cached("SELECT row FROM rows WHERE job = ?1 ORDER BY step DESC LIMIT 1")?
        .query_row(params![number], |row| row.get(0))
        .optional()?;
    job.latest = latest
        .map(|bytes| wire::row_from(&bytes))
        .transpose()
        .map_err(corrupt)?;
    job.checkpoint_ids = super::checkpoints::published(connection, number)?;
    Ok(job)
}

fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

fn from_row(row: &Row<'_>) -> Result<Job, StoreError> {
    let id: String = row.get("id")?;
    let state: i32 = row.get("state")?;
    let network: Vec<u8> = row.get("network")?;
    let test: Option<Vec<u8>> = row.get("test")?;
    Ok(Job {
        number: row.get("number")?,
        id: id.parse().map_err(corrupt)?,
        request_id: row.get("request_id")?,
        traceparent: row.get("traceparent")?,
        requested: row.get("requested")?,
        resolved: row.get("resolved")?,
        state: JobState::from_number(state).ok_or_else(|| corrupt(format!("state {state}")))?,
        created_us: row.get("created_us")?,
        started_us: row.get("started_us")?,
        finished_us: row.get("finished_us")?,
        error: row.get("error")?,
        device: row.get("device")?,
        dataset_digest: row.get("dataset_digest")?,
        attempts: row.get("attempts")?,
        spent: Duration::from_micros(row.get("spent_us")?),
        cancel_requested: row.get("cancel_requested")?,
        last_event: row.get("last_event")?,
        epochs: row.get("epochs")?,
        epoch: row.get("epoch")?,
        step: row.get("step")?,
        steps: row.get("steps")?,
        train_seconds: row.get("train_seconds")?,
        validation_seconds: row.get("validation_seconds")?,
        network: wire::network_from(&network).map_err(corrupt)?,
        test: test
            .map(|bytes| wire::evaluation_from(&bytes))
            .transpose()
            .map_err(corrupt)?,
        latest: None,
        checkpoint_ids: Vec::new(),
    })
}
