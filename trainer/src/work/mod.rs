//! `digits-trainer work`: trains one attempt that a trainer has recorded on the shared storage, and
//! reports to it there. The trainer starts it with `--executor process`.

mod config;

pub use config::WorkConfig;
pub(crate) use config::arguments;

use crate::{
    datasets::{Catalog, Pushed},
    job::JobState,
    wire,
    worker::{NotReported, ReportedEnd, WorkerTask, read_record, report_attempt},
};
use digits_checkpoint::{Storage, StorageError};
use digits_service::{Error, exit, print_failure};
use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsFd as _,
    process::ExitCode,
    sync::Arc,
};
use tokio::{runtime::Handle, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

/// Trains the attempt of `config`, until `stop` is cancelled at the latest.
///
/// # Errors
/// [`Error::Config`] for a wrong flag or an attempt that is not recorded; else what cannot be opened
/// or reported.
pub async fn work(config: WorkConfig, stop: CancellationToken) -> Result<ExitCode, Error> {
    if config.lock_on_stdin {
        write_process_id().map_err(Error::unavailable("the lock file cannot be written"))?;
    }
    let Some(opened) = stop.run_until_cancelled(open(&config)).await else {
        return Ok(ExitCode::from(exit::TEMPORARY));
    };
    let task = opened?;
    let reported = report_attempt(task, stop).await;
    let reported = match reported {
        Err(error @ NotReported::Taken) => {
            return Ok(print_failure(&error.to_string(), exit::TAKEN));
        }
        reported => reported.map_err(Error::unavailable("the attempt ends unfinished"))?,
    };
    Ok(ExitCode::from(match reported {
        ReportedEnd::Finished(JobState::Succeeded) => 0,
        ReportedEnd::Finished(_) => exit::FAILED,
        ReportedEnd::Stopped => exit::TEMPORARY,
    }))
}

/// Writes the id of this process into the lock file that is its standard input, for a trainer that
/// has not started it.
fn write_process_id() -> io::Result<()> {
    let mut lock = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    write!(lock, "{}", std::process::id())
}

async fn open(config: &WorkConfig) -> Result<WorkerTask, Error> {
    let (job, attempt) = config.attempt()?;
    let device = config.device()?;
    let storage = Storage::open(&config.storage).map_err(|error| match error {
        StorageError::Url { .. } | StorageError::Variable { .. } => Error::config(error),
        _ => Error::unavailable("--storage cannot be opened")(error),
    })?;
    let record = read_record(job, &attempt, &storage, config.max_outage).await;
    let record = record.map_err(Error::unavailable(
        "the record of the attempt cannot be read",
    ))?;
    let record = record.ok_or_else(|| {
        Error::Config(format!(
            "--attempt: attempt {attempt} is not recorded on the storage {}",
            storage.url()
        ))
    })?;
    let record = wire::attempt_record_from(&record).map_err(Error::config)?;
    let (folders, mnist) = (config.folders()?, config.mnist());
    let catalog = spawn_blocking(move || Catalog::open(mnist, folders)).await?;
    let catalog = catalog.map_err(|error| Error::Config(format!("--config: {error}")))?;
    let pushed = Pushed::new(
        storage.clone(),
        Handle::current(),
        config.dataset_cache(),
        config.max_dataset_bytes,
    );
    Ok(WorkerTask {
        job,
        attempt,
        record,
        storage,
        catalog: Arc::new(catalog.with_pushed(pushed)),
        device,
        threads: config.threads.into(),
        bundle_interval: config.bundle_interval,
        max_outage: config.max_outage,
    })
}
