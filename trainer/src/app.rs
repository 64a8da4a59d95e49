//! The whole service: open state and storage, bind both ports, then run until told to stop.

use crate::{
    config::Config,
    datasets::{Catalog, Pushed},
    grpc::{Checkpoints, METHODS, SERVICES, Training, TrainingContext},
    metrics::{Metrics, gpu_memory},
    page,
    remote_write::{RemoteWrite, StartError},
    reporter::Reporter,
    retention::Retention,
    store::Store,
    train,
    worker::{Bundles, Registry, Tools, Workers, finish_intentions, note_bundles, sweep_bundles},
};
use anyhow::Context as _;
use digits_checkpoint::{Storage, StorageError};
use digits_proto::FILE_DESCRIPTOR_SET;
use digits_server::{
    GrpcServer, RequestMetrics, Routes, ServerConfig, exit,
    health::{Health, withdraw},
    reflection, startup,
};
use digits_telemetry::{
    admin::{self, AdminServer},
    liveness::Liveness,
    metrics::Recorder,
    readiness::Readiness,
    supervisor::{RepeatedDeaths, Supervisor, Task},
};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Time between two counts of the jobs by state.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

/// Something that a person must correct in the configuration; one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadConfig(pub String);

/// What a process exits with for an error.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let address = matches!(error.downcast_ref(), Some(StorageError::Url { .. }));
    if address || error.is::<BadConfig>() || error.is::<digits_telemetry::logs::LogsError>() {
        exit::USAGE
    } else {
        exit::UNAVAILABLE
    }
}

/// Where the service listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// Metrics and probes.
    pub admin: SocketAddr,
}

/// The service with both ports open, not yet answering.
pub struct App {
    config: Config,
    tools: Tools,
    workers: usize,
    server: GrpcServer,
    admin: AdminServer,
    readiness: Readiness,
}

impl App {
    /// Opens everything. The recorder must be installed already.
    ///
    /// # Errors
    /// When something cannot be opened, or the storage does not hold what a writer relies on.
    pub async fn bind(config: Config, recorder: Recorder) -> anyhow::Result<(Self, Addresses)> {
        // Before anything is created.
        let credentials = config.service.credentials.load();
        let credentials = credentials.map_err(|error| BadConfig(error.to_string()))?;
        let (tools, workers) = open_tools(&config).await?;
        let recorder = recorder.with_section(tools.metrics.section());
        // The driver's library takes a moment.
        let recorder = match tokio::task::spawn_blocking(gpu_memory::section).await? {
            Some(section) => recorder.with_section(section),
            None => recorder,
        };
        let readiness = Readiness::new();
        let server_config = ServerConfig {
            traces: tools.traces.clone(),
            credentials,
            ..server_config(&config)
        };
        let (server, grpc) = GrpcServer::bind(server_config).await?;
        let (admin, admin_address) = admin::bind(
            config.service.admin_listen,
            recorder,
            readiness.clone(),
            tools.supervisor.liveness().clone(),
        )
        .await?;
        let app = Self {
            config,
            tools,
            workers,
            server,
            admin,
            readiness,
        };
        let addresses = Addresses {
            grpc,
            admin: admin_address,
        };
        Ok((app, addresses))
    }

    /// Logs where the service listens and how it is configured, and writes the ready file.
    ///
    /// # Errors
    /// When the ready file cannot be written.
    pub fn announce(&self, addresses: Addresses) -> anyhow::Result<()> {
        let config = &self.config;
        tracing::info!(
            grpc = %addresses.grpc,
            admin = %addresses.admin,
            storage = self.tools.storage.url(),
            state = %config.state.display(),
            mnist_dir = ?config.mnist_dir,
            datasets = self.tools.catalog.names().join(","),
            queue_capacity = config.service.queue_capacity,
            workers = self.workers,
            bundle_interval = ?config.service.bundle_interval,
            tls_certificate_file = ?config.service.credentials.tls_certificate_file,
            tls_client_ca_file = ?config.service.credentials.tls_client_ca_file,
            token_file = ?config.service.credentials.token_file,
            otlp_endpoint = config.service.requests.otlp_endpoint,
            otlp_ca_file = ?config.service.requests.otlp_ca_file,
            access_log = config.service.requests.access_log,
            remote_write = config.service.remote_write.as_ref().map(tracing::field::display),
            remote_write_token_file = ?config.service.remote_write_token_file,
            remote_write_ca_file = ?config.service.remote_write_ca_file,
            shutdown_grace = ?config.shutdown_grace,
            libtorch = train::libtorch_version(),
            retention = ?config.retention(),
            retention_interval = ?config.service.retention_interval,
            version = env!("CARGO_PKG_VERSION"),
            "digits-trainer listens"
        );
        match &config.service.ready_file {
            Some(path) => write_ready_file(path, addresses),
            None => Ok(()),
        }
    }

    /// Takes up what the last process left, then serves until `shutdown` is cancelled; running jobs stop at their
    /// next step and go back to the queue, each with a bundle to go on from.
    ///
    /// # Errors
    /// When storage or database fail at the start, or the server stops by itself.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self {
            config,
            tools,
            workers,
            server,
            admin,
            readiness,
        } = self;
        let stop = CancellationToken::new();
        let _stopped_when_dropped = stop.clone().drop_guard();
        let supervisor = tools.supervisor.clone();
        // Its port closes with it: /livez is then not answered at all, which fails as well.
        let admin = supervisor.watch(Task::new("admin"), stop.clone(), admin.serve(stop.clone()));
        match shutdown.run_until_cancelled(take_up(&tools)).await {
            Some(taken_up) => taken_up?,
            None => {
                close(tools).await;
                return Ok(());
            }
        }
        let workers = Workers::start(&tools, workers).context("no thread for a worker")?;
        let upkeep = upkeep(&config, &tools, &stop);
        let (health, health_service) = Health::new(SERVICES).await;
        let context = TrainingContext {
            intake: tools.intake(workers.wake(), config.service.queue_capacity.into()),
            registry: Arc::clone(&tools.registry),
            bundles: Arc::clone(&tools.bundles),
            shutdown: stop.clone(),
        };
        let reporter = Reporter::new(&tools, stop.clone());
        let limit = config.service.max_message_bytes as usize;
        let (v1, v1alpha) = reflection(FILE_DESCRIPTOR_SET, SERVICES)?;
        let routes = Routes::new(health_service)
            .add_service(v1)
            .add_service(v1alpha)
            .add_service(Training(context).into_server(limit))
            .add_service(Checkpoints::new(tools.storage.clone(), reporter).into_server(limit));
        let requests = RequestMetrics::new("digits_trainer", METHODS);
        let server = server
            .with_supervisor(supervisor)
            .with_pages(page::router());
        let mut serving = std::pin::pin!(server.serve(routes, requests, stop.clone()));
        readiness.set_ready();
        health.set_serving().await;
        tokio::select! {
            _ = &mut serving => anyhow::bail!("the gRPC server ended by itself"),
            () = shutdown.cancelled() => {}
        }
        let leaving = async {
            withdraw(&health, &readiness, config.service.shutdown_delay).await;
            stop.cancel();
        };
        let ending = end_of(workers, &tools.store, config.shutdown_grace);
        let (_, (), ()) = tokio::join!(serving, leaving, ending);
        // All watch the same token.
        let _ = admin.await;
        for task in upkeep {
            let _ = task.await;
        }
        close(tools).await;
        Ok(())
    }
}

/// Opens what workers need, for this process alone, and says how many there are to be.
pub(crate) async fn open_tools(config: &Config) -> anyhow::Result<(Tools, usize)> {
    let folders = config.folders().map_err(BadConfig)?;
    let cache = config.dataset_cache().map_err(BadConfig)?;
    // Before anything is created: an address that is wrong leaves no folder behind.
    let traces = config.service.requests.traces("digits-trainer");
    let traces = traces.map_err(|error| BadConfig(format!("{:#}", anyhow::Error::from(error))))?;
    let storage = Storage::open(&config.storage)?;
    let (mnist, state) = (config.mnist(), config.state.clone());
    // Both read files.
    let catalog = tokio::task::spawn_blocking(move || Catalog::open(mnist, folders))
        .await?
        .map_err(|error| BadConfig(format!("--config: {error}")))?;
    let supervisor = Supervisor::new("digits_trainer", Liveness::default());
    let watching = supervisor.clone();
    let store = tokio::task::spawn_blocking(move || Store::open(&state, &watching)).await?;
    let store = store.context("--state cannot be used")?;
    let bundles = Bundles::open(&config.state).context("--state cannot be used")?;
    // Asks libtorch, which can take a moment.
    let gpus = tokio::task::spawn_blocking(train::gpus).await?;
    let workers = config.workers.map_or(gpus.max(1), usize::from);
    storage.probe().await.context("the storage is refused")?;
    let runtime = tokio::runtime::Handle::current();
    let pushed = Pushed::new(
        storage.clone(),
        runtime.clone(),
        cache,
        config.service.max_dataset_bytes,
    );
    let metrics = Metrics::new(config.service.queue_capacity.into(), workers);
    let remote_write = push_curves(config, &metrics, &supervisor)?;
    let tools = Tools {
        store,
        storage,
        catalog: Arc::new(catalog.with_pushed(pushed)),
        registry: Arc::new(Registry::default()),
        bundles: Arc::new(bundles),
        bundle_interval: config.service.bundle_interval,
        metrics,
        remote_write,
        traces,
        supervisor,
        runtime,
    };
    Ok((tools, workers))
}

fn push_curves(
    config: &Config,
    metrics: &Metrics,
    supervisor: &Supervisor,
) -> anyhow::Result<RemoteWrite> {
    let Some(receiver) = config.receiver() else {
        return Ok(RemoteWrite::default());
    };
    RemoteWrite::start(receiver, metrics.push.clone(), supervisor).map_err(|error| match error {
        StartError::Credentials(reason) => BadConfig(reason).into(),
        StartError::Thread(_) => error.into(),
    })
}

fn write_ready_file(path: &Path, addresses: Addresses) -> anyhow::Result<()> {
    startup::write_ready_file(path, addresses.grpc, addresses.admin)
        .context("--ready-file cannot be written")
}

fn server_config(config: &Config) -> ServerConfig {
    ServerConfig {
        listen: config.service.listen,
        max_message_bytes: config.service.max_message_bytes as usize,
        max_in_flight: config.service.max_in_flight as usize,
        // A watch lasts as long as its job, and there is no replica to move to.
        max_connection_age: None,
        drain: config.shutdown_grace,
        access_log: config.service.requests.access_log,
        ..ServerConfig::default()
    }
}

/// What the last process left: checkpoints under way first, then jobs that ran.
pub(crate) async fn take_up(tools: &Tools) -> anyhow::Result<()> {
    finish_intentions(&tools.store, &tools.storage)
        .await
        .context("the checkpoints of the last process")?;
    note_bundles(&tools.store, &tools.bundles)
        .await
        .context("the bundles of the last process")?;
    let recovery = tools.store.recover().await?;
    for job in &recovery.again {
        tracing::warn!(%job, "the last process died while this job ran: it goes on");
    }
    for job in &recovery.given_up {
        tracing::error!(%job, "a job is given up: process after process died while it ran");
    }
    sweep_bundles(&tools.store, &tools.bundles)
        .await
        .context("the bundles of the last process")
}

/// Stops the workers and waits for them, but not beyond the grace time.
pub(crate) async fn end_of(workers: Workers, store: &Store, grace: Duration) {
    let threads = workers.stop();
    let waiting = async {
        while threads.iter().any(|thread| !thread.is_finished()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(grace, waiting).await.is_err() {
        tracing::warn!("a running job did not stop in time; the next start goes on with it");
        if let Err(error) = store.requeue_all().await {
            // Then it counts as a crash.
            tracing::error!(%error, "running jobs could not be put back");
        }
    }
}

/// Pushes what is left of the curves, closes the database, and exports the last spans.
pub(crate) async fn close(tools: Tools) {
    let remote_write = tools.remote_write.clone();
    if let Err(error) = tokio::task::spawn_blocking(move || remote_write.close()).await {
        tracing::error!(%error, "the curves could not be pushed to their end");
    }
    tools.store.close().await;
    if let Some(traces) = tools.traces {
        traces.finish().await;
    }
}

/// Starts what goes on beside the jobs: counting them, and retention, unless it is off.
///
/// Where these keep dying, gauges are stale or the storage grows, and jobs are trained all the same: a
/// restart of the process would interrupt them.
fn upkeep(config: &Config, tools: &Tools, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    let supervisor = &tools.supervisor;
    let (counted, until) = (tools.clone(), stop.clone());
    let mut tasks = vec![supervisor.restart(
        Task::new("job_counter"),
        RepeatedDeaths::Tolerate,
        stop.clone(),
        move || count_jobs(counted.clone(), until.clone()),
    )];
    if let Some(rules) = config.retention() {
        let (interval, until) = (config.service.retention_interval, stop.clone());
        let retention = Retention {
            store: tools.store.clone(),
            storage: tools.storage.clone(),
            metrics: tools.metrics.clone(),
            rules,
        };
        tasks.push(supervisor.restart(
            Task::new("retention"),
            RepeatedDeaths::Tolerate,
            stop.clone(),
            move || retention.clone().run(interval, until.clone()),
        ));
    }
    tasks
}

async fn count_jobs(tools: Tools, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(COUNT_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match tools.store.count_by_state().await {
            Ok(counts) => tools.metrics.jobs_by_state(&counts),
            Err(error) => tracing::warn!(%error, "jobs cannot be counted"),
        }
    }
}
