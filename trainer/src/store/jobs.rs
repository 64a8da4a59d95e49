//! Jobs: stored, read, listed, cancelled.

use super::{
    error::{StoreError, corrupt},
    events::{append, number_of},
    handle::Store,
    job_record::{Job, read, read_listed},
    outcome::{JobOutcome, end_job},
    waiting::WAITS,
};
use crate::{
    job::{Event, JobId, JobState, now_us},
    quotas::QuotaExceeded,
    spec::ResolvedJob,
    wire::{self, SpecMessage},
};
use digits_checkpoint::id::CheckpointId;
use rusqlite::{
    Connection, OptionalExtension as _, Rows, Transaction, params, params_from_iter, types::Value,
};
use std::collections::{BTreeMap, BTreeSet};

/// A job to store.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The caller's idempotency key.
    pub request_id: String,
    /// The spec as requested.
    pub requested: SpecMessage,
    /// The spec after presets and checks, and its plan.
    pub resolved: ResolvedJob,
    /// W3C `traceparent` of the request; empty for none.
    pub traceparent: String,
    /// Name of the client; empty where clients need not prove who they are.
    pub submitted_by: String,
    /// Queued jobs of this client at most.
    pub quota: Option<u64>,
}

/// The result of a submission.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// Stored by this call.
    New(Box<Job>),
    /// Stored by an earlier call of the same request.
    Existing(Box<Job>),
}

/// Filter of a list of jobs.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only jobs in one of these states; empty for all.
    pub states: Vec<JobState>,
    /// Only jobs with this name; empty for all.
    pub name: String,
    /// Only jobs with all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Accepted before the job of this number.
    pub before: Option<i64>,
    /// Maximum number of jobs.
    pub limit: u32,
}

impl Store {
    /// The job of an earlier submission with this request id and the same spec.
    ///
    /// # Errors
    /// [`StoreError::RequestIdTaken`] where the spec differs.
    pub async fn find_submission(
        &self,
        request_id: &str,
        spec: &SpecMessage,
    ) -> Result<Option<Job>, StoreError> {
        let (request_id, key) = (request_id.to_owned(), spec.key());
        self.read(move |connection| find(connection, &request_id, &key))
            .await
    }

    /// Stores a job, unless the same request was stored before; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::QueueFull`] where `capacity` jobs wait; [`StoreError::Quota`];
    /// [`StoreError::RequestIdTaken`].
    pub async fn submit(&self, new: NewJob, capacity: u64) -> Result<Submitted, StoreError> {
        let writing = self.write(move |transaction| {
            if let Some(job) = find(transaction, &new.request_id, &new.requested.key())? {
                return Ok(Submitted::Existing(Box::new(job)));
            }
            let waiting = queued(transaction)?;
            if waiting >= capacity {
                return Err(StoreError::QueueFull { waiting });
            }
            check_quota(transaction, &new)?;
            let number = insert(transaction, &new)?;
            Ok(Submitted::New(Box::new(read(transaction, number)?)))
        });
        self.for_client(writing).await
    }

    /// How many jobs [`submit`](Self::submit) would take from this client now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn queue_room(
        &self,
        client: String,
        capacity: u64,
        quota: Option<u64>,
    ) -> Result<u64, StoreError> {
        self.read(move |connection| {
            let room = capacity.saturating_sub(queued(connection)?);
            Ok(match quota {
                None => room,
                Some(quota) => room.min(quota.saturating_sub(queued_by(connection, &client)?)),
            })
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

    /// Jobs, newest first, each with the ids of its newest checkpoints only.
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
                .map(|number| read_listed(connection, number))
                .collect()
        })
        .await
    }

    /// Cancels a job: a waiting one is over at once, a running one is marked, one that is over
    /// stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`].
    pub async fn cancel(&self, id: JobId) -> Result<Job, StoreError> {
        let writing = self.write_urgent(move |transaction| {
            let number = number_of(transaction, id)?;
            let state = read(transaction, number)?.state;
            match state {
                JobState::Queued => end_job(transaction, number, &JobOutcome::cancelled())?,
                JobState::Running => {
                    transaction
                        .prepare_cached("UPDATE jobs SET cancel_requested = 1 WHERE number = ?1")?
                        .execute(params![number])?;
                }
                JobState::Succeeded | JobState::Failed | JobState::Cancelled => {}
            }
            read(transaction, number)
        });
        let job = writing.await?;
        self.signals().announce(id, job.last_event);
        Ok(job)
    }

    /// Checkpoints that waiting and running jobs start from: retention must not delete them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn needed_parents(&self) -> Result<BTreeSet<CheckpointId>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT parent FROM jobs WHERE state IN (?1, ?2) AND parent <> ''",
            )?;
            let states = params![JobState::Queued.number(), JobState::Running.number()];
            checkpoint_ids(statement.query(states)?)
        })
        .await
    }

    /// Number of jobs in each state.
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
            let waiting: u64 = connection
                .prepare_cached("SELECT count(*) FROM runs WHERE open = 1 AND waiting > 0")?
                .query_row([], |row| row.get(0))?;
            if let Some(running) = counts.get_mut(&JobState::Running.number()) {
                let waiting = waiting.min(*running);
                *running -= waiting;
                *counts.entry(JobState::Queued.number()).or_default() += waiting;
            }
            Ok(JobState::ALL
                .into_iter()
                .map(|state| (state, counts.get(&state.number()).copied().unwrap_or(0)))
                .collect())
        })
        .await
    }
}

/// Ids of checkpoints in the first column.
pub(super) fn checkpoint_ids(mut rows: Rows<'_>) -> Result<BTreeSet<CheckpointId>, StoreError> {
    let mut ids = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        ids.insert(id.parse().map_err(corrupt)?);
    }
    Ok(ids)
}

fn find(
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

/// Jobs in the queue.
fn queued(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM jobs WHERE state = ?1")?
        .query_row(params![JobState::Queued.number()], |row| row.get(0))?)
}

/// Of these, jobs of a client.
fn queued_by(connection: &Connection, client: &str) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT count(*) FROM jobs WHERE state = ?1 AND submitted_by = ?2")?
        .query_row(params![JobState::Queued.number(), client], |row| row.get(0))?)
}

fn check_quota(transaction: &Transaction<'_>, new: &NewJob) -> Result<(), StoreError> {
    let Some(quota) = new.quota else {
        return Ok(());
    };
    let waiting = queued_by(transaction, &new.submitted_by)?;
    match waiting >= quota {
        true => Err(QuotaExceeded::QueuedJobs(waiting).into()),
        false => Ok(()),
    }
}

fn insert(transaction: &Transaction<'_>, new: &NewJob) -> Result<i64, StoreError> {
    let ResolvedJob { spec, plan } = &new.resolved;
    transaction
        .prepare_cached(
            "INSERT INTO jobs (id, request_id, request_key, name, requested, resolved, state,
                               created_us, epochs, steps, network, parent, traceparent,
                               submitted_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            JobId::generate().to_string(),
            new.request_id,
            new.requested.key(),
            spec.name,
            new.requested.encode(),
            SpecMessage::from(spec).encode(),
            JobState::Queued.number(),
            now_us(),
            plan.train.epochs,
            plan.steps,
            wire::network_bytes(&plan.network),
            plan.parent.map(|id| id.to_string()).unwrap_or_default(),
            new.traceparent,
            new.submitted_by,
        ])?;
    let number = transaction.last_insert_rowid();
    for (key, value) in &spec.labels {
        transaction
            .prepare_cached("INSERT INTO labels (job, key, value) VALUES (?1, ?2, ?3)")?
            .execute(params![number, key, value])?;
    }
    let event = Event::StateChanged {
        state: JobState::Queued,
        device: String::new(),
        reason: String::new(),
    };
    append(transaction, number, &event)?;
    Ok(number)
}

fn query(filter: &JobFilter) -> (String, Vec<Value>) {
    let mut query = "SELECT number FROM jobs WHERE 1".to_owned();
    let mut values = Vec::new();
    if !filter.states.is_empty() {
        // At most five different ones, so that few statements are cached.
        let states: Vec<String> = JobState::ALL
            .into_iter()
            .filter(|state| filter.states.contains(state))
            .map(|state| state.number().to_string())
            .collect();
        let states = format!("state IN ({})", states.join(","));
        let waits = format!("state = {} AND {WAITS}", JobState::Running.number());
        let has = |state| filter.states.contains(&state);
        query += &match (has(JobState::Queued), has(JobState::Running)) {
            (true, false) => format!(" AND ({states} OR {waits})"),
            (false, true) => format!(" AND {states} AND NOT ({waits})"),
            _ => format!(" AND {states}"),
        };
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
