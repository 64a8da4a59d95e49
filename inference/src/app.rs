//! The whole service: bind both ports, then run until told to stop.

use crate::{
    config::Config,
    grpc::{
        Inference, OpenInference, RequestLimits,
        rest::{self, HttpLimits},
    },
    loader::Loader,
    metrics,
    model::{Model, Registry},
    model_info, page, picture, queue,
};
use digits_checkpoint::{Storage, StorageError};
use digits_proto::FILE_DESCRIPTOR_SET;
use digits_server::{
    CredentialsError, Drained, GrpcServer, RequestMetrics, Routes, ServerConfig, ServerError, exit,
    health::{Health, withdraw},
    reflection, startup,
};
use digits_telemetry::{
    admin::{self, AdminServer},
    listen::BindError,
    liveness::Liveness,
    logs::{self, LogsError},
    metrics::{InstallError, Recorder, install},
    readiness::Readiness,
    supervisor::{RepeatedDeaths, Supervisor, Task},
    traces::{Traces, TracesError},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Services whose health and messages are told by name.
const SERVICES: &[&str] = &[
    "digits.v1.InferenceService",
    "inference.GRPCInferenceService",
];

/// Why the service could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration.
    #[error("{0}")]
    Config(String),
    /// Logs.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// The metrics' recorder.
    #[error(transparent)]
    Metrics(#[from] InstallError),
    /// The storage's address is wrong, or it cannot be opened.
    #[error("--storage cannot be opened")]
    Storage(#[source] StorageError),
    /// A certificate, key or token file.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The gRPC port.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The admin port.
    #[error(transparent)]
    Admin(#[from] BindError),
    /// The collector's address is wrong.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The operating system gives no further thread.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
    /// The file with the addresses.
    #[error("--ready-file cannot be written")]
    ReadyFile(#[source] std::io::Error),
}

impl AppError {
    /// The error and its causes in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |cause| cause.source());
        causes.fold(self.to_string(), |line, cause| format!("{line}: {cause}"))
    }

    /// What the process exits with: a person must correct the configuration, or something is not there.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Logs(_)
            | Self::Storage(_)
            | Self::Credentials(_)
            | Self::Traces(_) => exit::USAGE,
            Self::Metrics(_) => exit::SOFTWARE,
            Self::Server(_) | Self::Admin(_) | Self::Thread(_) | Self::ReadyFile(_) => {
                exit::UNAVAILABLE
            }
        }
    }
}

impl Config {
    /// Sets up logs and metrics for this process, once.
    ///
    /// # Errors
    ///
    /// When a filter does not parse, or they were set up before.
    pub fn init_telemetry(&self) -> Result<Recorder, AppError> {
        logs::init(self.log_format, "info")?;
        Ok(install(metrics::BUCKETS)?)
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
    storage: Storage,
    registry: Arc<Registry>,
    server: GrpcServer,
    admin: AdminServer,
    readiness: Readiness,
    supervisor: Supervisor,
    traces: Option<Traces>,
}

impl App {
    /// Opens the storage and both ports. The recorder must be installed already.
    ///
    /// # Errors
    ///
    /// When one of them cannot be opened.
    pub async fn bind(config: Config, recorder: Recorder) -> Result<(Self, Addresses), AppError> {
        let open = |config: &Config| Storage::open(config.storage_url());
        Self::bind_with(open, config, recorder).await
    }

    /// [`App::bind`] with a storage that is open already.
    ///
    /// # Errors
    ///
    /// As [`App::bind`].
    pub async fn bind_to(
        storage: Storage,
        config: Config,
        recorder: Recorder,
    ) -> Result<(Self, Addresses), AppError> {
        Self::bind_with(|_| Ok(storage), config, recorder).await
    }

    async fn bind_with(
        open: impl FnOnce(&Config) -> Result<Storage, StorageError>,
        config: Config,
        recorder: Recorder,
    ) -> Result<(Self, Addresses), AppError> {
        metrics::describe();
        let credentials = config.credentials.load()?;
        let traces = config.requests.traces("digits-inference")?;
        let storage = open(&config).map_err(AppError::Storage)?;
        let supervisor = Supervisor::new(metrics::PREFIX, Liveness::default());
        let readiness = Readiness::new();
        let registry = Arc::new(Registry::new(&config.models));
        readiness.set_not_ready(missing(&registry).unwrap_or_default());
        let recorder = recorder.with_section(model_info::section(Arc::clone(&registry)));
        let server_config = ServerConfig {
            traces: traces.clone(),
            credentials,
            ..server_config(&config)
        };
        let (server, grpc) = GrpcServer::bind(server_config).await?;
        let (admin, admin_address) = admin::bind(
            config.admin_listen,
            recorder,
            readiness.clone(),
            supervisor.liveness().clone(),
        )
        .await?;
        let app = Self {
            config,
            storage,
            registry,
            server,
            admin,
            readiness,
            supervisor,
            traces,
        };
        Ok((
            app,
            Addresses {
                grpc,
                admin: admin_address,
            },
        ))
    }

    /// Serves until `shutdown` is cancelled, then drains.
    ///
    /// # Errors
    ///
    /// When the server stops by itself.
    pub async fn run(self, shutdown: CancellationToken) -> Result<Drained, AppError> {
        let Self {
            config,
            storage,
            registry,
            server,
            admin,
            readiness,
            supervisor,
            traces,
        } = self;
        let stop = CancellationToken::new();
        let service = Inference::new(
            Arc::clone(&registry),
            limits(&config),
            &supervisor,
            stop.clone(),
        );
        let service = service.map_err(AppError::Thread)?;
        let (health, health_service) = Health::new(SERVICES).await;
        // Its port closes with it: /livez is then not answered at all, which fails as well.
        let admin = supervisor.watch(Task::new("admin"), stop.clone(), admin.serve(stop.clone()));
        let entry = Entry {
            registry: Arc::clone(&registry),
            health: health.clone(),
            readiness: readiness.clone(),
            leaving: shutdown.clone(),
        };
        let loaders: Vec<_> = registry
            .models()
            .map(|model| follow(&config, &storage, model, &entry, &supervisor))
            .collect();
        let open = OpenInference::new(service.clone()).into_server(config.max_message_bytes);
        let service = service.into_server(config.max_message_bytes);
        let (v1, v1alpha) = reflection(FILE_DESCRIPTOR_SET, SERVICES)?;
        let routes = Routes::new(service)
            .add_service(open)
            .add_service(health_service)
            .add_service(v1)
            .add_service(v1alpha);
        let http = HttpLimits {
            max_body_bytes: config.max_message_bytes,
            max_in_flight: config.max_in_flight,
        };
        let names: Vec<_> = config.models.iter().map(ToString::to_string).collect();
        let server = server
            .with_supervisor(supervisor)
            .with_pages(page::router(&names))
            .with_http(move |services| rest::router(services, http));
        let metrics = RequestMetrics::new(metrics::PREFIX, metrics::METHODS);
        let leave = async {
            shutdown.cancelled().await;
            for loader in loaders {
                // Stops where it waits; the supervisor has logged its deaths.
                let _ = loader.await;
            }
            withdraw(&health, &readiness, config.shutdown_delay).await;
            stop.cancel();
        };
        let (drained, ()) = tokio::join!(server.serve(routes, metrics, stop.clone()), leave);
        let _ = admin.await;
        if let Some(traces) = traces {
            traces.finish().await;
        }
        Ok(drained)
    }

    /// Tells where it listens: in the log and, where one is wanted, in the ready file.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn announce(&self, addresses: Addresses) -> Result<(), AppError> {
        let Addresses { grpc, admin } = addresses;
        // The address as it was given may hold a secret; the storage's own way to say it does not.
        let config = Config {
            storage: None,
            ..self.config.clone()
        };
        tracing::info!(%grpc, %admin, storage = self.storage.url(), ?config, "listening");
        match &self.config.ready_file {
            Some(path) => startup::write_ready_file(path, grpc, admin).map_err(AppError::ReadyFile),
            None => Ok(()),
        }
    }
}

/// Follows the storage for one model until the service leaves.
///
/// A panic while a checkpoint is loaded fails that load alone ([`Loader`]). A loader that dies of
/// anything else is started anew, and what serves stays. One that keeps dying for minutes fails
/// liveness: the replica would serve an old checkpoint for ever.
fn follow(
    config: &Config,
    storage: &Storage,
    model: &Arc<Model>,
    entry: &Entry,
    supervisor: &Supervisor,
) -> JoinHandle<()> {
    let (interval, pinned) = (config.interval(), config.pinned(&model.name));
    let task = Task::instance("loader", &model.name);
    let leaving = entry.leaving.clone();
    let (storage, model, entry) = (storage.clone(), Arc::clone(model), entry.clone());
    supervisor.restart(task, RepeatedDeaths::FailLiveness, leaving, move || {
        let loader = Loader::new(storage.clone(), Arc::clone(&model), interval).pinned(pinned);
        let entry = entry.clone();
        loader.run(entry.leaving.clone(), async move || entry.tell().await)
    })
}

/// The way into traffic: open once every model serves.
#[derive(Clone)]
struct Entry {
    registry: Arc<Registry>,
    health: Health,
    readiness: Readiness,
    leaving: CancellationToken,
}

impl Entry {
    /// A model serves, or another checkpoint of it.
    async fn tell(&self) {
        // A load that ends while the process leaves must not call traffic back.
        if self.leaving.is_cancelled() {
            return;
        }
        if let Some(reason) = missing(&self.registry) {
            self.readiness.set_not_ready(reason);
        }
        // Another model may have come to serve, and said so, between the look and what was said here.
        if missing(&self.registry).is_none() {
            self.readiness.set_ready();
            self.health.set_serving().await;
        }
    }
}

/// Which models do not serve yet, in words.
fn missing(registry: &Registry) -> Option<String> {
    let names: Vec<_> = registry
        .models()
        .filter(|model| model.serving().is_none())
        .map(|model| model.name.to_string())
        .collect();
    let list = names.join(", ");
    (!names.is_empty()).then(|| format!("no checkpoint is loaded yet of {list}"))
}

fn server_config(config: &Config) -> ServerConfig {
    ServerConfig {
        listen: config.listen,
        max_message_bytes: config.max_message_bytes,
        max_in_flight: config.max_in_flight,
        max_connection_age: Some(config.max_connection_age).filter(|age| !age.is_zero()),
        drain: config.shutdown_grace,
        access_log: config.requests.access_log,
        ..ServerConfig::default()
    }
}

fn limits(config: &Config) -> RequestLimits {
    RequestLimits {
        queue: queue::Limits {
            requests: config.max_queued,
            bytes: config.max_queued_bytes,
        },
        max_images: config.max_images,
        max_pictures: config.max_pictures,
        picture: picture::Limits {
            max_pixels: config.max_picture_pixels,
        },
        max_answer_bytes: config.max_message_bytes,
    }
}
