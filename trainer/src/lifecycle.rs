//! Opens, recovers, stops and closes the state of the trainer, for the service and for
//! `digits-trainer run`.

use crate::{
    cancellation::Canceller,
    config::{Config, ExecutorKind},
    datasets::{Catalog, Pushed},
    journal,
    metrics::Metrics,
    remote_write::{RemoteWrite, StartError},
    signing,
    store::{MAX_CRASHES, Store, Survivors},
    submission::Submitter,
    train, work,
    worker::{
        Bundles, Execution, Outbox, Wake, WorkerCommand, WorkerContext, Workers,
        finish_checkpoints, is_permanent, push_interrupted, record_bundles, sweep_bundles,
    },
};
use backon::{ExponentialBuilder, Retryable as _};
use digits_checkpoint::{Storage, StorageError};
use digits_service::Error;
use digits_telemetry::{supervisor::Supervisor, traces::Traces};
use std::{env, sync::Arc, time::Duration};

/// Attempts at a time in a cluster, unless --workers sets another number.
const JOBS_AT_A_TIME: usize = 8;
/// Interval at which the ends of the worker threads are polled.
const POLL: Duration = Duration::from_millis(5);
/// Pauses between attempts to use a storage that fails at the start.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Opens what workers need, for this process alone; also returns the number of workers. The storage
/// is not read or written yet: [`check_storage`].
///
/// # Errors
/// When the configuration is wrong or something cannot be opened.
pub(crate) async fn open(
    config: &Config,
    supervisor: Supervisor,
    traces: Option<Traces>,
) -> Result<(WorkerContext, usize), Error> {
    // Checked before any folder is created.
    let folders = config.folders()?;
    let cache = config.dataset_cache()?;
    let storage = Storage::open(&config.storage).map_err(|error| match error {
        StorageError::Url { .. } | StorageError::Variable { .. } => Error::config(error),
        _ => Error::unavailable("--storage cannot be opened")(error),
    })?;
    let storage = signing::with_keys(storage, &config.trainer)?;
    let (storage, journal) = journal::settings(config, storage)?;
    let mnist = config.mnist();
    let catalog = tokio::task::spawn_blocking(move || Catalog::open(mnist, folders)).await?;
    let catalog = catalog.map_err(|error| Error::Config(format!("--config: {error}")))?;
    let (state, watched) = (config.state.clone(), supervisor.clone());
    let opening = move || match journal {
        None => Store::open(&state, &watched),
        Some(journal) => Store::open_journaled(&state, &watched, journal),
    };
    let store = tokio::task::spawn_blocking(opening).await?;
    let store = store.map_err(Error::unavailable("--state cannot be used"))?;
    let bundles = Bundles::open(&config.state);
    let bundles = bundles.map_err(Error::unavailable("--state cannot be used"))?;
    let state = config.state.clone();
    let outbox = tokio::task::spawn_blocking(move || Outbox::open(&state)).await?;
    let outbox = outbox.map_err(Error::unavailable("--state cannot be used"))?;
    let workers = match config.executor {
        ExecutorKind::Kubernetes => {
            train::run_elsewhere(config.kubernetes.gpus());
            JOBS_AT_A_TIME
        }
        // libtorch counts them, which can take a moment.
        _ => tokio::task::spawn_blocking(train::gpus).await?.max(1),
    };
    let workers = config.workers.map_or(workers, usize::from);
    let runtime = tokio::runtime::Handle::current();
    let pushed = Pushed::new(
        storage.clone(),
        runtime.clone(),
        cache,
        config.trainer.max_dataset_bytes,
    );
    let metrics = Metrics::new(config.trainer.queue_capacity.into(), workers);
    let remote_write = start_remote_write(config, &metrics, &supervisor)?;
    let services = WorkerContext {
        store,
        storage,
        catalog: Arc::new(catalog.with_pushed(pushed)),
        running: Arc::default(),
        bundles: Arc::new(bundles),
        outbox: Arc::new(outbox),
        bundle_interval: config.trainer.bundle_interval,
        max_outage: config.trainer.max_outage,
        promotion_guard: config.trainer.promotion_guard,
        metrics,
        remote_write,
        traces,
        supervisor,
        runtime,
    };
    Ok((services, workers))
}

/// Checks that the storage holds what a writer relies on. An outage that may pass is returned,
/// where the service may [wait for its end](await_storage).
///
/// # Errors
/// When it does not, or an outage may not be waited for.
pub(crate) async fn check_storage(services: &WorkerContext) -> Result<Option<StorageError>, Error> {
    match services.storage.probe().await {
        Ok(()) => Ok(None),
        Err(error) if is_permanent(&error) || services.max_outage.is_zero() => Err(unusable(error)),
        Err(error) => Ok(Some(error)),
    }
}

/// Waits for the end of an outage of the storage, at most for `--max-outage`; `still` is called
/// with each failure.
///
/// # Errors
/// The last failure.
pub(crate) async fn await_storage(
    services: &WorkerContext,
    still: impl FnMut(&StorageError, Duration),
) -> Result<(), Error> {
    let pauses = ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_total_delay(Some(services.max_outage));
    let probe = || services.storage.probe();
    let probed = probe.retry(pauses).when(|error| !is_permanent(error));
    probed.notify(still).await.map_err(unusable)
}

fn unusable(error: StorageError) -> Error {
    Error::unavailable("--storage cannot be used")(error)
}

fn start_remote_write(
    config: &Config,
    metrics: &Metrics,
    supervisor: &Supervisor,
) -> Result<RemoteWrite, Error> {
    let Some(receiver) = config.receiver() else {
        return Ok(RemoteWrite::default());
    };
    RemoteWrite::start(receiver, metrics.push.clone(), supervisor).map_err(|error| match error {
        StartError::Credentials(reason) => Error::Config(reason),
        StartError::Thread(error) => Error::Thread(error),
    })
}

/// Recovers what the last process left: unfinished publications first, then the jobs that ran.
///
/// # Errors
/// When database, storage or bundles cannot be read or written.
pub(crate) async fn recover(
    services: &WorkerContext,
    execution: &Execution,
    survivors: Survivors,
) -> Result<(), Error> {
    finish_checkpoints(services)
        .await
        .map_err(Error::unavailable("cannot recover unfinished checkpoints"))?;
    record_bundles(&services.store, &services.bundles)
        .await
        .map_err(Error::unavailable("cannot recover resume bundles"))?;
    push_interrupted(services)
        .await
        .map_err(Error::unavailable("cannot read the curves of running jobs"))?;
    let recovery = services.store.recover(survivors).await;
    let recovery = recovery.map_err(Error::unavailable("cannot recover running jobs"))?;
    for job in &recovery.resumed {
        tracing::warn!(%job, "job resumed: the last process ended while it ran");
    }
    for job in &recovery.abandoned {
        tracing::error!(%job, "job abandoned after {MAX_CRASHES} consecutive crashes of the process");
    }
    if let Execution::Processes(command) = execution {
        let unfinished = services.store.unfinished_jobs().await;
        let unfinished = unfinished.map_err(Error::unavailable("cannot read the jobs"))?;
        command.sweep_locks(&unfinished.into_iter().collect());
    }
    sweep_bundles(&services.store, &services.bundles)
        .await
        .map_err(Error::unavailable("cannot delete obsolete resume bundles"))
}

/// Where the attempts of the service's jobs run, and which of them outlive the process.
///
/// # Errors
/// When the program does not find itself.
pub(crate) fn execution(
    config: &Config,
    storage: &Storage,
) -> Result<(Execution, Survivors), Error> {
    match config.executor {
        ExecutorKind::Local => return Ok((Execution::Local, Survivors::Nothing)),
        ExecutorKind::Kubernetes => {
            let settings = config.kubernetes.settings()?;
            return Ok((Execution::Jobs(settings), Survivors::OpenAttempts));
        }
        ExecutorKind::Process => {}
    }
    let program =
        env::current_exe().map_err(Error::unavailable("the program cannot find itself"))?;
    let command = WorkerCommand {
        program,
        arguments: work::arguments(config, storage),
        locks: config.state.join("workers"),
        // The rest is for the trainer, which takes in what they report.
        shutdown_grace: config.service.shutdown_grace * 4 / 5,
    };
    Ok((Execution::Processes(command), Survivors::OpenAttempts))
}

/// Accepts jobs for the workers that `wake` wakes.
pub(crate) fn submitter(services: &WorkerContext, wake: Wake, config: &Config) -> Submitter {
    Submitter {
        store: services.store.clone(),
        storage: services.storage.clone(),
        catalog: Arc::clone(&services.catalog),
        metrics: services.metrics.clone(),
        wake,
        queue_capacity: config.trainer.queue_capacity.into(),
        client_quota: config.trainer.quotas.quota_queued_jobs,
    }
}

/// Cancels jobs of the workers.
pub(crate) fn canceller(services: &WorkerContext) -> Canceller {
    Canceller {
        store: services.store.clone(),
        storage: services.storage.clone(),
        running: Arc::clone(&services.running),
        bundles: Arc::clone(&services.bundles),
    }
}

/// Stops the workers and waits for them, at most for `grace`.
pub(crate) async fn stop_workers(workers: Workers, store: &Store, grace: Duration) {
    let leaves = workers.leaves_attempts();
    let threads = workers.stop();
    let stopped = async {
        while threads.iter().any(|thread| !thread.is_finished()) {
            tokio::time::sleep(POLL).await;
        }
    };
    let stopped = tokio::time::timeout(grace, stopped).await;
    if stopped.is_err() && !leaves {
        tracing::warn!(
            "a running job did not stop within --shutdown-grace; the next start resumes it"
        );
        if let Err(error) = store.release_all().await {
            // The next start counts it as a crash.
            tracing::error!(%error, "cannot return running jobs to the queue");
        }
    }
}

/// Pushes the rest of the curves and closes the database.
pub(crate) async fn close(services: WorkerContext) {
    let remote_write = services.remote_write.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || remote_write.close()).await {
        tracing::error!(%error, "cannot push the rest of the curves");
    }
    services.store.close().await;
}
