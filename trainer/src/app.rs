//! The training service: opens state, storage and both ports, then serves until the shutdown.

use crate::{
    background,
    config::Config,
    grpc::{Checkpoints, ImportQuota, METHODS, ROLES, SERVICES, Sweeps, Training, TrainingContext},
    journal,
    lifecycle::{
        await_storage, canceller, check_storage, close, execution, open, recover, stop_workers,
        submitter,
    },
    metrics::{PREFIX, gpu_memory},
    page,
    reporter::Reporter,
    store::{DatabaseState, StoreError},
    sweep::Controller,
    tracker::Trackers,
    webhook::Webhooks,
    worker::{StartError, WorkerContext, Workers},
};
use digits_checkpoint::StorageError;
use digits_proto::FILE_DESCRIPTOR_SET;
use digits_server::{AuditLog, Routes, ServerConfig};
pub use digits_service::Addresses;
use digits_service::{Bound, Error, Foundation, ServiceInfo, ServiceReadiness};
use digits_telemetry::{metrics::Recorder, readiness::Readiness};
use std::{path::Path, sync::Arc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const INFO: ServiceInfo = ServiceInfo {
    name: "digits-trainer",
    metrics_prefix: PREFIX,
    methods: METHODS,
    roles: ROLES,
    services: SERVICES,
    descriptors: FILE_DESCRIPTOR_SET,
};

/// Opens the audit log, if a file is set.
fn audit_log(file: Option<&Path>) -> Result<Option<AuditLog>, Error> {
    let file = file.filter(|file| !file.as_os_str().is_empty());
    let opened = file.map(AuditLog::open).transpose();
    opened.map_err(Error::unavailable("--audit-log cannot be written"))
}

/// The service with both ports open, not yet answering.
pub struct App {
    config: Config,
    services: WorkerContext,
    /// Why the storage could not be used, if it may be waited for.
    outage: Option<StorageError>,
    workers: usize,
    webhooks: Webhooks,
    trackers: Trackers,
    bound: Bound,
}

impl App {
    /// Opens state, storage and both ports. The recorder must be installed already.
    ///
    /// # Errors
    /// When one of them cannot be opened, or the storage does not hold what a writer relies on. For
    /// a storage that fails in a way that may pass [`run`](Self::run) waits.
    pub async fn bind(config: Config, recorder: Recorder) -> Result<Self, Error> {
        // Checked before any folder is created.
        let foundation = Foundation::new(INFO, &config.service)?;
        let (services, workers) = open(
            &config,
            foundation.supervisor.clone(),
            foundation.traces.clone(),
        )
        .await?;
        let webhooks = Webhooks::open(&config.trainer.webhooks)?;
        let trackers = Trackers::open(&config.trainer.trackers)?;
        let outage = check_storage(&services).await?;
        let recorder = recorder.with_section(services.metrics.section());
        // Loading the driver's library takes a moment.
        let recorder = match tokio::task::spawn_blocking(gpu_memory::section).await? {
            Some(section) => recorder.with_section(section),
            None => recorder,
        };
        let ports = ServerConfig {
            listen: config.trainer.listen,
            max_message_bytes: config.trainer.max_message_bytes as usize,
            max_in_flight: config.trainer.max_in_flight as usize,
            audit_log: audit_log(config.trainer.audit_log.as_deref())?,
            ..ServerConfig::default()
        };
        let bound = foundation
            .bind(ports, config.trainer.admin_listen, recorder)
            .await?;
        Ok(Self {
            config,
            services,
            outage,
            workers,
            webhooks,
            trackers,
            bound,
        })
    }

    /// Addresses of both ports.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.bound.addresses()
    }

    /// Logs the addresses and the configuration, and writes the ready file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn announce(&self) -> Result<(), Error> {
        // The storage's own form of its address holds no secret.
        let storage = self.services.storage.url();
        let workers = u16::try_from(self.workers).ok();
        let config = Config {
            storage: storage.to_owned(),
            workers,
            ..self.config.clone()
        };
        self.bound.announce(storage, &config)
    }

    /// Waits for a storage that fails, at most for `--max-outage`, and recovers what the last
    /// process left. Then it serves until `shutdown` is cancelled; running jobs stop at their next
    /// step and return to the queue, each with a resume bundle.
    ///
    /// # Errors
    /// When the recovery fails, or the server cannot start or ends by itself.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self {
            config,
            services,
            outage,
            workers,
            webhooks,
            trackers,
            bound,
        } = self;
        let (execution, survivors) = execution(&config, &services.storage)?;
        let service = bound.start();
        let readiness = service.readiness();
        let journal = services.store.journal();
        let recovery = async {
            if let Some(outage) = outage {
                outlast(&services, &readiness, &outage).await?;
            }
            journal::await_turn(&services.store, &readiness).await?;
            webhooks.enter(&services.store).await?;
            trackers.enter(&services.store).await?;
            recover(&services, &execution, survivors).await
        };
        let Some(recovered) = shutdown.run_until_cancelled(recovery).await else {
            close(services).await;
            service.close().await;
            return Ok(());
        };
        recovered?;
        journal::stop_when_replaced(&services.store, &shutdown);
        let width = workers;
        let workers = Workers::start(services.clone(), workers, execution).await;
        let workers = workers.map_err(workers_error)?;
        let closing = service.ports_closing().clone();
        let mut background = background::start(&config, &services, &closing);
        background.extend(webhooks.start(&services, &closing));
        background.extend(trackers.start(&services, &closing));
        let submitter = submitter(&services, workers.wake(), &config);
        let canceller = canceller(&services);
        let controller = Controller {
            submitter: submitter.clone(),
            canceller: canceller.clone(),
            width,
            wake: Arc::default(),
        };
        let sweeps = Sweeps(controller.sweeper());
        background.push(controller.start(&services.supervisor, &closing));
        let training = Training(TrainingContext {
            submitter,
            canceller,
            running: Arc::clone(&services.running),
            shutdown: closing.clone(),
        });
        let checkpoints = Checkpoints {
            storage: services.storage.clone(),
            store: services.store.clone(),
            catalog: Arc::clone(&services.catalog),
            reporter: Reporter::new(&services, closing),
            imports: ImportQuota::new(
                services.store.clone(),
                config.trainer.quotas.clone(),
                services.metrics.clone(),
            ),
        };
        let limit = config.trainer.max_message_bytes as usize;
        let routes = Routes::new(training.into_server(limit))
            .add_service(checkpoints.into_server(limit))
            .add_service(sweeps.into_server(limit));
        let service = service.with_server(|server| server.with_pages(page::router()));
        let state = services.store.state();
        let ready = |readiness| follow_database(readiness, state);
        let store = services.store.clone();
        let stop_work = stop_workers(workers, &store, config.service.shutdown_grace);
        let close = async {
            // They watch the token that closed the ports.
            for task in background {
                let _ = task.await;
            }
            close(services).await;
        };
        service
            .serve(routes, shutdown, ready, stop_work, close)
            .await?;
        journal::check_end(journal.as_ref())
    }
}

fn workers_error(error: StartError) -> Error {
    match error {
        StartError::Thread(error) => Error::Thread(error),
        StartError::Cluster(reason) => Error::Config(format!("--executor kubernetes: {reason}")),
    }
}

/// Waits for the end of an outage of the storage, which `/readyz` shows meanwhile.
async fn outlast(
    services: &WorkerContext,
    readiness: &Readiness,
    outage: &StorageError,
) -> Result<(), Error> {
    let show = |error: &StorageError| {
        readiness.set_not_ready(format!("the storage cannot be used; retrying: {error}"));
    };
    show(outage);
    let limit_seconds = services.max_outage.as_secs_f64();
    tracing::warn!(error = %outage, limit_seconds, "the storage cannot be used; retrying before anything is served");
    await_storage(services, |error, _| {
        show(error);
        tracing::debug!(%error, "the storage still cannot be used");
    })
    .await?;
    readiness.set_not_ready("starting");
    tracing::info!("the storage can be used");
    Ok(())
}

/// Reports readiness while the file of the job database is in its place.
async fn follow_database(readiness: ServiceReadiness, mut state: watch::Receiver<DatabaseState>) {
    loop {
        let loss = state.borrow_and_update().loss;
        match loss {
            None => readiness.set_ready().await,
            Some(loss) => {
                let reason = StoreError::Lost(loss).to_string();
                readiness.set_unready(reason).await;
            }
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}
