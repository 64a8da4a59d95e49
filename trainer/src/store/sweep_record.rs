//! Stored sweeps and trials, read back from their rows.

use super::error::{StoreError, corrupt};
use crate::{
    job::{JobId, JobState},
    sweep::{Rung, SweepId, SweepState, TrialState},
    wire,
};
use digits_checkpoint::{id::CheckpointId, manifest::Evaluation};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// A stored sweep.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Order of acceptance, from 1.
    pub number: i64,
    /// Its id.
    pub id: SweepId,
    /// The caller's idempotency key.
    pub request_id: String,
    /// The spec as requested, encoded.
    pub spec: Vec<u8>,
    /// Its display name; may be empty.
    pub name: String,
    /// Model of its checkpoints.
    pub model: String,
    /// Fields that trials differ in.
    pub fields: Vec<String>,
    /// Its rungs.
    pub rungs: Vec<Rung>,
    /// Its state.
    pub state: SweepState,
    /// When it was accepted, in microseconds since 1970.
    pub created_us: i64,
    /// When it ended.
    pub finished_us: Option<i64>,
    /// Whether a cancellation is pending.
    pub cancel_requested: bool,
    /// Its trials, in the order of their numbers; empty in lists.
    pub trials: Vec<Trial>,
    /// Trials whose results are recorded.
    pub ended_trials: u32,
    /// Trials of all rungs.
    pub total_trials: u32,
    /// The best trial so far.
    pub best: Option<Trial>,
}

/// A stored trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Number in its sweep, from 1.
    pub number: u32,
    /// Rung, from 1.
    pub rung: u32,
    /// Number of its configuration, from 1.
    pub configuration: u32,
    /// A value for each field.
    pub values: Vec<String>,
    /// Seed of the training.
    pub seed: u64,
    /// Epochs to train.
    pub epochs: u32,
    /// Request id of its job.
    pub request_id: String,
    /// Its state.
    pub state: TrialState,
    /// Its job, once it is submitted.
    pub job: Option<JobId>,
    /// Whether its job is being cancelled.
    pub cancel_requested: bool,
    /// Epoch of the job's newest row.
    pub epoch: u32,
    /// Error message for the client.
    pub error: String,
    /// The checkpoint that was compared.
    pub checkpoint: Option<CheckpointId>,
    /// Its validation result.
    pub validation: Option<Evaluation>,
}

const SWEEP: &str =
    "SELECT number, id, request_id, spec, name, model, fields, rungs, state, created_us,
    finished_us, cancel_requested FROM sweeps WHERE number = ?1";

/// Trials with their jobs. A job that its worker keeps waiting counts as queued.
const TRIAL: &str = "SELECT trials.number, rung, configuration, choice, seed, trials.epochs,
    trials.request_id, ended, trials.error, checkpoint, validation, jobs.id AS job, jobs.state AS job_state,
    jobs.epoch AS epoch, jobs.error AS job_error, jobs.cancel_requested AS cancelling,
    EXISTS (SELECT 1 FROM runs WHERE runs.job = jobs.number AND open = 1 AND waiting > 0) AS waits
    FROM trials LEFT JOIN jobs ON jobs.request_id = trials.request_id";

/// Reads a sweep without its trials.
pub(super) fn read_listed(connection: &Connection, number: i64) -> Result<Sweep, StoreError> {
    let mut sweep = connection
        .prepare_cached(SWEEP)?
        .query_row(params![number], |row| Ok(sweep(row)))
        .optional()?
        .ok_or(StoreError::NoSuchSweep)??;
    let (begun, ended, last_rung): (u32, u32, u32) = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(ended), 0), coalesce(max(rung), 0) FROM trials WHERE sweep = ?1",
        )?
        .query_row(params![number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    sweep.ended_trials = ended;
    sweep.total_trials = begun;
    if sweep.state == SweepState::Running {
        let seeds = sweep.seeds(connection)?;
        let later = sweep.rungs.iter().skip(last_rung as usize);
        sweep.total_trials += later.map(|rung| rung.configurations * seeds).sum::<u32>();
    }
    sweep.best = connection
        .prepare_cached(&format!(
            "{TRIAL} WHERE sweep = ?1 AND validation IS NOT NULL
             ORDER BY rung DESC, correct DESC, loss IS NULL, loss, trials.number LIMIT 1"
        ))?
        .query_row(params![number], |row| Ok(trial(row)))
        .optional()?
        .transpose()?;
    Ok(sweep)
}

/// Reads a sweep with its trials.
pub(super) fn read(connection: &Connection, number: i64) -> Result<Sweep, StoreError> {
    let mut sweep = read_listed(connection, number)?;
    sweep.trials = trials(connection, number, "", |_| true)?;
    Ok(sweep)
}

/// Reads trials in the order of their numbers while `more` is true of the last one. `only` is a
/// condition of SQL, such as ` AND ended = 0`.
pub(super) fn trials(
    connection: &Connection,
    sweep: i64,
    only: &str,
    mut more: impl FnMut(&Trial) -> bool,
) -> Result<Vec<Trial>, StoreError> {
    let query = format!("{TRIAL} WHERE sweep = ?1{only} ORDER BY trials.number");
    let mut statement = connection.prepare_cached(&query)?;
    let mut rows = statement.query(params![sweep])?;
    let mut trials = Vec::new();
    while let Some(row) = rows.next()? {
        trials.push(trial(row)?);
        if !trials.last().is_some_and(&mut more) {
            break;
        }
    }
    Ok(trials)
}

impl Sweep {
    /// Trials of each configuration.
    fn seeds(&self, connection: &Connection) -> Result<u32, StoreError> {
        let first: u32 = connection
            .prepare_cached("SELECT count(*) FROM trials WHERE sweep = ?1 AND rung = 1")?
            .query_row(params![self.number], |row| row.get(0))?;
        let configurations = self
            .rungs
            .first()
            .map_or(1, |rung| rung.configurations.max(1));
        Ok(first / configurations)
    }
}

fn sweep(row: &Row<'_>) -> Result<Sweep, StoreError> {
    let (id, fields, rungs): (String, String, String) =
        (row.get("id")?, row.get("fields")?, row.get("rungs")?);
    let state: i32 = row.get("state")?;
    Ok(Sweep {
        number: row.get("number")?,
        id: id.parse().map_err(corrupt)?,
        request_id: row.get("request_id")?,
        spec: row.get("spec")?,
        name: row.get("name")?,
        model: row.get("model")?,
        fields: serde_json::from_str(&fields).map_err(corrupt)?,
        rungs: serde_json::from_str(&rungs).map_err(corrupt)?,
        state: SweepState::from_number(state)
            .ok_or_else(|| corrupt(format!("the state {state} of a sweep")))?,
        created_us: row.get("created_us")?,
        finished_us: row.get("finished_us")?,
        cancel_requested: row.get("cancel_requested")?,
        trials: Vec::new(),
        ended_trials: 0,
        total_trials: 0,
        best: None,
    })
}

fn trial(row: &Row<'_>) -> Result<Trial, StoreError> {
    let choice: String = row.get("choice")?;
    let (own_error, job_error): (String, Option<String>) =
        (row.get("error")?, row.get("job_error")?);
    let job: Option<String> = row.get("job")?;
    let (checkpoint, validation): (String, Option<Vec<u8>>) =
        (row.get("checkpoint")?, row.get("validation")?);
    let state = trial_state(row, own_error.is_empty())?;
    Ok(Trial {
        number: row.get("number")?,
        rung: row.get("rung")?,
        configuration: row.get("configuration")?,
        values: serde_json::from_str(&choice).map_err(corrupt)?,
        seed: row.get("seed")?,
        epochs: row.get("epochs")?,
        request_id: row.get("request_id")?,
        state,
        job: job.map(|id| id.parse()).transpose().map_err(corrupt)?,
        cancel_requested: row
            .get::<_, Option<bool>>("cancelling")?
            .unwrap_or_default(),
        epoch: row.get::<_, Option<u32>>("epoch")?.unwrap_or_default(),
        error: if own_error.is_empty() {
            job_error.unwrap_or_default()
        } else {
            own_error
        },
        checkpoint: match checkpoint.as_str() {
            "" => None,
            id => Some(id.parse().map_err(corrupt)?),
        },
        validation: validation
            .map(|bytes| wire::evaluation_from(&bytes))
            .transpose()
            .map_err(corrupt)?,
    })
}

fn trial_state(row: &Row<'_>, is_without_error: bool) -> Result<TrialState, StoreError> {
    let state: Option<i32> = row.get("job_state")?;
    let (ended, waits): (bool, bool) = (row.get("ended")?, row.get("waits")?);
    if !is_without_error {
        return Ok(TrialState::Failed);
    }
    let Some(number) = state else {
        return Ok(if ended {
            TrialState::Cancelled
        } else {
            TrialState::Pending
        });
    };
    let state = JobState::from_number(number).ok_or_else(|| corrupt(format!("state {number}")))?;
    Ok(TrialState::Submitted(match state {
        JobState::Running if waits => JobState::Queued,
        state => state,
    }))
}
