//! The outcome of a job, and the write that ends it.

use super::{error::StoreError, events::append};
use crate::{
    job::{Event, JobState, now_us},
    wire,
};
use digits_checkpoint::manifest::Evaluation;
use rusqlite::{Transaction, params};

/// The outcome of a job.
#[derive(Clone, Debug)]
pub struct JobOutcome {
    /// SUCCEEDED, FAILED or CANCELLED.
    pub state: JobState,
    /// Error message for the client; empty unless the job failed.
    pub error: String,
    /// The finished network on the test set.
    pub test: Option<Evaluation>,
    /// Steps done, where the training got that far.
    pub step: Option<u64>,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Seconds of validation.
    pub validation_seconds: f64,
}

impl JobOutcome {
    /// Outcome of a cancelled job.
    #[must_use]
    pub fn cancelled() -> Self {
        Self {
            state: JobState::Cancelled,
            error: String::new(),
            test: None,
            step: None,
            train_seconds: 0.0,
            validation_seconds: 0.0,
        }
    }

    /// Outcome of a failed job.
    #[must_use]
    pub fn failed(error: String) -> Self {
        Self {
            state: JobState::Failed,
            error,
            ..Self::cancelled()
        }
    }
}

/// Writes a job's outcome and its last event.
pub(super) fn end_job(
    transaction: &Transaction<'_>,
    number: i64,
    outcome: &JobOutcome,
) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "UPDATE jobs SET state = ?2, error = ?3, test = ?4, finished_us = ?5, train_seconds = ?6,
                    validation_seconds = ?7, step = coalesce(?8, step), cancel_requested = 0 WHERE number = ?1",
        )?
        .execute(params![
            number,
            outcome.state.number(),
            outcome.error,
            outcome.test.as_ref().map(wire::evaluation_bytes),
            now_us(),
            outcome.train_seconds,
            outcome.validation_seconds,
            outcome.step,
        ])?;
    let event = Event::Finished {
        state: outcome.state,
        error: outcome.error.clone(),
        test: outcome.test,
    };
    append(transaction, number, &event)?;
    Ok(())
}
