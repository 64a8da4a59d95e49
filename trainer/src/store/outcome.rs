//! The write that ends a job.

use super::{deliveries, error::StoreError, events::append, runs::close_run};
use crate::{
    job::{Event, now_us},
    wire::{self, cloud_event},
};
use rusqlite::{Transaction, params};

pub use crate::job::JobOutcome;

/// Writes a job's outcome and its last event.
pub(super) fn end_job(
    transaction: &Transaction<'_>,
    number: i64,
    outcome: &JobOutcome,
) -> Result<(), StoreError> {
    close_run(transaction, number)?;
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
    deliveries::add_about(transaction, number, |job| {
        vec![cloud_event::job_ended(job, outcome)]
    })
}
