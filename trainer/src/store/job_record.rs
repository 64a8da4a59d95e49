//! A stored job, read back from its row.

use super::{
    error::{StoreError, corrupt},
    publications::{Published, published},
    waiting::{Waiting, waiting},
};
use crate::{
    job::{CurveRow, JobId, JobState, NetworkSize},
    wire,
};
use digits_checkpoint::manifest::Evaluation;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::time::Duration;

/// A stored job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Order of acceptance, from 1.
    pub number: i64,
    /// Its id.
    pub id: JobId,
    /// The caller's idempotency key.
    pub request_id: String,
    /// W3C `traceparent` of the request; empty for none.
    pub traceparent: String,
    /// The spec as requested, encoded.
    pub requested: Vec<u8>,
    /// The resolved spec, encoded.
    pub resolved: Vec<u8>,
    /// Its state.
    pub state: JobState,
    /// Why its worker does not run yet, if it was taken from the queue.
    pub waiting: Option<Waiting>,
    /// When it was accepted, in microseconds since 1970.
    pub created_us: i64,
    /// When its training first started.
    pub started_us: Option<i64>,
    /// When it ended.
    pub finished_us: Option<i64>,
    /// Error message for the client.
    pub error: String,
    /// The device; empty before it started.
    pub device: String,
    /// Digest of its data set; empty before it started.
    pub dataset_digest: String,
    /// How often its training was started or resumed after a crash; a shutdown in between does not
    /// count.
    pub attempts: u32,
    /// Time of training over all attempts.
    pub spent: Duration,
    /// Whether a cancellation is pending.
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
    /// Size of the network.
    pub network: NetworkSize,
    /// The finished network on the test set.
    pub test: Option<Evaluation>,
    /// The newest row of its curves.
    pub latest: Option<CurveRow>,
    /// Its committed checkpoints.
    pub published: Published,
}

const COLUMNS: &str = "number, id, request_id, requested, resolved, state, created_us, started_us,
    finished_us, error, device, dataset_digest, attempts, cancel_requested, last_event, epochs, epoch,
    step, steps, train_seconds, validation_seconds, network, test, spent_us, traceparent";

/// Ids of checkpoints in a job that is read by itself: 380 KB as a message.
const MAX_IDS: usize = 10_000;
/// Ids of checkpoints in a job of a list.
const MAX_LISTED_IDS: usize = 20;

/// Reads a job with its newest row and its checkpoints.
pub(super) fn read(connection: &Connection, number: i64) -> Result<Job, StoreError> {
    read_with(connection, number, MAX_IDS)
}

/// Reads a job for a list, which has the ids of its newest checkpoints only.
pub(super) fn read_listed(connection: &Connection, number: i64) -> Result<Job, StoreError> {
    read_with(connection, number, MAX_LISTED_IDS)
}

fn read_with(connection: &Connection, number: i64, ids: usize) -> Result<Job, StoreError> {
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
    job.published = published(connection, number, ids)?;
    job.waiting = waiting(connection, number)?;
    Ok(job)
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
        waiting: None,
        published: Published::default(),
    })
}
