//! Faults of storage, database and limits while jobs run: nothing accepted is lost or differs.
//!
//! `DIGITS_TORTURE_FAULTS` sets how often the storage fails; the other faults are shorter, and happen
//! more often. Without it each happens once, briefly, in one run.

use super::{jobs, number, seed, table};
use crate::support::torture::{Fault, Summary, Torture};
use anyhow::{Context as _, Result};
use std::time::Duration;

/// A fault, its name in the table, how often it happens for each time that the storage fails, and
/// for how many milliseconds.
const FAULTS: [(Fault, &str, usize, u64); 4] = [
    (
        Fault::Storage,
        "a folder of the storage cannot be written",
        1,
        8_000,
    ),
    (Fault::Descriptors, "the trainer can open no file", 5, 1_000),
    (
        Fault::Lock,
        "another program holds the database's lock",
        10,
        300,
    ),
    (
        Fault::Database,
        "the files of the job database are deleted",
        10,
        300,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn results_survive_faults_of_storage_database_and_limits() -> Result<()> {
    let storage_faults = number("DIGITS_TORTURE_FAULTS", 0)?;
    if storage_faults == 0 {
        let each = FAULTS.map(|(fault, ..)| (fault, Duration::from_millis(300)));
        let summary = survived(&each).await?;
        return table::row(
            "faults of storage, database and limits",
            "4",
            &summary.lost(),
        );
    }
    for (fault, trial, times, milliseconds) in FAULTS {
        let duration = Duration::from_millis(milliseconds);
        let faults = vec![(fault, duration); times * storage_faults];
        let summary = survived(&faults).await?;
        let done = format!("{} times {duration:?}", faults.len());
        table::row(trial, &done, &summary.lost())?;
    }
    Ok(())
}

async fn survived(faults: &[(Fault, Duration)]) -> Result<Summary> {
    let seed = seed()?;
    let torture = Torture::new(jobs(), seed)?.run_with_faults(faults);
    torture.await.with_context(|| format!("seed {seed}"))
}
