//! Attempts that train outside the trainer's process: their numbers, and how far their reports were
//! taken in.
//!
//! A job has at most one open attempt, from before its worker starts until the job is over or back
//! in the queue. A report is taken in together with its number in one transaction: exactly once,
//! in order, and of the open attempt alone.

use super::{
    error::{StoreError, corrupt},
    events::{append, append_new_rows, last_event, number_of, record_bundle_step, record_spent},
    handle::Store,
    job_record::read,
    waiting::waiting,
};
use crate::{
    attempt::{AttemptReport, Report, ResumePoint},
    job::{CurveRow, Event, JobId, JobState, WaitCause},
};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

/// Resume bundles of a job that are kept: the newest, and one in case it is damaged.
const KEPT_BUNDLES: usize = 2;

/// The open attempt of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number of the attempt, from 1; none is used twice.
    pub attempt: u32,
    /// Reports that were taken in.
    pub followed: u64,
    /// Resume bundles of the job, newest first.
    pub bundles: Vec<ResumePoint>,
    /// Whether the cancellation of the job is requested.
    pub cancel_requested: bool,
    /// Why its worker does not run yet, as it was last recorded.
    pub waiting: Option<(WaitCause, String)>,
}

/// What a report has changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TakenIn {
    /// Rows that are new: an earlier attempt may have reported the same.
    pub rows: Vec<CurveRow>,
    /// Bundles that are not needed any more.
    pub obsolete: Vec<ResumePoint>,
}

impl Store {
    /// The open attempt of a running job.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_run(&self, job: JobId) -> Result<Option<Run>, StoreError> {
        self.read(move |connection| {
            let number = number_of(connection, job)?;
            open_run(connection, number)
        })
        .await
    }

    /// Opens the next attempt of a running job, before anything else of it exists.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_run(&self, job: JobId) -> Result<Run, StoreError> {
        self.write(move |transaction| {
            let number = number_of(transaction, job)?;
            transaction
                .prepare_cached(
                    "INSERT INTO runs (job, attempt, open) VALUES (?1, 1, 1)
                     ON CONFLICT (job) DO UPDATE
                     SET attempt = attempt + 1, open = 1, followed = 0, orphaned = 0, waiting = 0",
                )?
                .execute(params![number])?;
            let run = open_run(transaction, number)?;
            run.ok_or_else(|| corrupt("an attempt that was not opened"))
        })
        .await
    }

    /// Takes in report `report_number` of an attempt.
    ///
    /// # Errors
    /// [`StoreError::NotFollowed`] where it is not the next report of the open attempt.
    pub async fn take_in(
        &self,
        job: JobId,
        attempt: u32,
        report_number: u64,
        report: AttemptReport,
    ) -> Result<TakenIn, StoreError> {
        let writing = self.write(move |transaction| {
            let number = number_of(transaction, job)?;
            let followed = transaction
                .prepare_cached(
                    "UPDATE runs SET followed = ?3
                     WHERE job = ?1 AND attempt = ?2 AND open = 1 AND followed = ?3 - 1",
                )?
                .execute(params![number, attempt, report_number])?;
            if followed == 0 {
                return Err(StoreError::NotFollowed {
                    attempt,
                    report: report_number,
                });
            }
            record_spent(transaction, number, report.spent)?;
            let taken = apply(transaction, number, attempt, report.report)?;
            Ok((last_event(transaction, number)?, taken))
        });
        let (last, taken) = writing.await?;
        self.signals().announce(job, last);
        Ok(taken)
    }

    /// Jobs that are over, of which attempts may have left something on the storage.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finished_runs(&self) -> Result<Vec<JobId>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT jobs.id FROM runs JOIN jobs ON jobs.number = runs.job
                 WHERE jobs.state >= ?1 AND runs.cleared = 0",
            )?;
            let mut rows = statement.query(params![JobState::Succeeded.number()])?;
            let mut jobs = Vec::new();
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                jobs.push(id.parse().map_err(corrupt)?);
            }
            Ok(jobs)
        })
        .await
    }

    /// Records that nothing of a job's attempts is left on the storage.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run_cleared(&self, job: JobId) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let number = number_of(transaction, job)?;
            transaction
                .prepare_cached("UPDATE runs SET cleared = 1 WHERE job = ?1")?
                .execute(params![number])?;
            Ok(())
        })
        .await
    }
}

fn apply(
    transaction: &Transaction<'_>,
    number: i64,
    attempt: u32,
    report: Report,
) -> Result<TakenIn, StoreError> {
    let mut taken = TakenIn::default();
    match report {
        Report::Began {
            device,
            dataset_digest,
        } => {
            transaction
                .prepare_cached(
                    "UPDATE jobs SET device = ?2, dataset_digest = ?3 WHERE number = ?1",
                )?
                .execute(params![number, device, dataset_digest])?;
            let event = Event::StateChanged {
                state: JobState::Running,
                device,
                reason: String::new(),
            };
            append(transaction, number, &event)?;
        }
        Report::Rows(rows) => taken.rows = append_new_rows(transaction, number, rows)?,
        Report::Bundle(bundle) => {
            record_bundle_step(transaction, number, bundle.step)?;
            let point = ResumePoint {
                attempt,
                number: bundle.number,
            };
            let mut bundles = bundles(transaction, number)?;
            bundles.insert(0, point);
            taken.obsolete = bundles.split_off(KEPT_BUNDLES.min(bundles.len()));
            let text: Vec<String> = bundles.iter().map(ToString::to_string).collect();
            transaction
                .prepare_cached("UPDATE runs SET bundles = ?2 WHERE job = ?1")?
                .execute(params![number, text.join(" ")])?;
        }
        // The checkpoint was published before, the outcome is written afterwards.
        Report::Opened { .. }
        | Report::Started(_)
        | Report::Progress
        | Report::Checkpoint(_)
        | Report::Ended(_) => {}
    }
    Ok(taken)
}

fn open_run(connection: &Connection, number: i64) -> Result<Option<Run>, StoreError> {
    let found: Option<(u32, u64)> = connection
        .prepare_cached("SELECT attempt, followed FROM runs WHERE job = ?1 AND open = 1")?
        .query_row(params![number], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((attempt, followed)) = found else {
        return Ok(None);
    };
    Ok(Some(Run {
        attempt,
        followed,
        bundles: bundles(connection, number)?,
        cancel_requested: read(connection, number)?.cancel_requested,
        waiting: waiting(connection, number)?.map(|waiting| (waiting.cause, waiting.reason)),
    }))
}

fn bundles(connection: &Connection, number: i64) -> Result<Vec<ResumePoint>, StoreError> {
    let text: String = connection
        .prepare_cached("SELECT bundles FROM runs WHERE job = ?1")?
        .query_row(params![number], |row| row.get(0))?;
    let points = text.split_whitespace().map(str::parse);
    points.collect::<Result<_, _>>().map_err(corrupt)
}

/// Closes the open attempt of a job, if it has one: its reports are taken in no more.
pub(super) fn close_run(transaction: &Transaction<'_>, number: i64) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "UPDATE runs SET open = 0, orphaned = 0, waiting = 0 WHERE job = ?1 AND open = 1",
        )?
        .execute(params![number])?;
    Ok(())
}

/// Marks the open attempts of the last process, which are to be followed on.
pub(super) fn orphan_runs(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    transaction
        .prepare_cached("UPDATE runs SET orphaned = 1 WHERE open = 1")?
        .execute([])?;
    Ok(())
}

/// Takes an open attempt that nobody follows; the number of its job.
pub(super) fn adopt_run(transaction: &Transaction<'_>) -> Result<Option<i64>, StoreError> {
    Ok(transaction
        .prepare_cached(
            "UPDATE runs SET orphaned = 0
             WHERE job = (SELECT min(job) FROM runs WHERE orphaned = 1) RETURNING job",
        )?
        .query_row([], |row| row.get(0))
        .optional()?)
}
