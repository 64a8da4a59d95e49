//! The inference service: opens the storage and both ports, then serves until the shutdown.

use crate::{
    config::Config,
    grpc::{
        DigitsV1, OpenInference, ROLES, UPLOAD,
        rest::{self, HttpLimits},
    },
    loader::Loader,
    metrics,
    model::{Model, Registry},
    model_info, page,
    predict::{
        PictureQueueLimits, Predictor, RequestLimits,
        batch::{InlineLimits, QueueLimits},
    },
    trust::Trust,
};
use digits_checkpoint::{Storage, StorageError};
use digits_proto::FILE_DESCRIPTOR_SET;
use digits_server::{Routes, ServerConfig};
pub use digits_service::Addresses;
use digits_service::{Bound, Error, Foundation, Running, ServiceInfo, ServiceReadiness};
use digits_telemetry::{
    metrics::Recorder,
    supervisor::{RepeatedDeaths, Task},
};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const INFO: ServiceInfo = ServiceInfo {
    name: "digits-inference",
    metrics_prefix: metrics::PREFIX,
    methods: metrics::METHODS,
    roles: ROLES,
    services: &[
        "digits.v1.InferenceService",
        "inference.GRPCInferenceService",
    ],
    descriptors: FILE_DESCRIPTOR_SET,
};

/// The service with both ports open, not yet answering.
pub struct App {
    config: Config,
    storage: Storage,
    trust: Trust,
    registry: Arc<Registry>,
    bound: Bound,
}

impl App {
    /// Opens the storage and both ports. The recorder must be installed already.
    ///
    /// # Errors
    /// When the configuration is wrong, or one of them cannot be opened.
    pub async fn bind(config: Config, recorder: Recorder) -> Result<Self, Error> {
        let open = |config: &Config| Storage::open(config.storage_url());
        Self::bind_with(open, config, recorder).await
    }

    /// [`App::bind`] with a storage that is open already.
    ///
    /// # Errors
    /// As [`App::bind`].
    pub async fn bind_to(
        storage: Storage,
        config: Config,
        recorder: Recorder,
    ) -> Result<Self, Error> {
        Self::bind_with(|_| Ok(storage), config, recorder).await
    }

    async fn bind_with(
        open: impl FnOnce(&Config) -> Result<Storage, StorageError>,
        config: Config,
        recorder: Recorder,
    ) -> Result<Self, Error> {
        config.check()?;
        metrics::describe();
        let foundation = Foundation::new(INFO, &config.service)?;
        let storage = open(&config).map_err(|error| {
            let error = Error::unavailable("--storage cannot be opened")(error);
            Error::config(error)
        })?;
        let (storage, trust) = Trust::open(storage, &config)?;
        let registry = Arc::new(Registry::new(&config.models));
        let recorder = recorder.with_section(model_info::section(Arc::clone(&registry)));
        let ports = ServerConfig {
            listen: config.listen,
            max_message_bytes: config.max_message_bytes,
            max_in_flight: config.max_in_flight,
            ..ServerConfig::default()
        };
        let bound = foundation
            .bind(ports, config.admin_listen, recorder)
            .await?;
        Ok(Self {
            config,
            storage,
            trust,
            registry,
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
        // The address may hold a secret as it was given; the storage's own form of it does not.
        let config = Config {
            storage: None,
            ..self.config.clone()
        };
        self.bound.announce(self.storage.url(), &config)
    }

    /// Serves until `shutdown` is cancelled, then drains.
    ///
    /// # Errors
    /// When the server cannot start, or ends by itself.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self {
            config,
            storage,
            trust,
            registry,
            bound,
        } = self;
        let service = bound.start();
        let stop = service.ports_closing();
        let predictor = Predictor::start(limits(&config), service.supervisor(), stop.clone())
            .map_err(Error::Thread)?;
        let loaders: Vec<_> = registry
            .models()
            .map(|model| {
                let loader = loader(&config, &storage, &trust, model);
                load(loader, model, &service, &shutdown)
            })
            .collect();
        let max_message_bytes = config.max_message_bytes;
        let digits = DigitsV1::new(Arc::clone(&registry), predictor.clone(), stop.clone());
        let open_inference = OpenInference::new(Arc::clone(&registry), predictor, stop.clone());
        let routes = Routes::new(digits.into_server(max_message_bytes))
            .add_service(open_inference.into_server(max_message_bytes));
        let http = HttpLimits {
            max_body_bytes: config.max_message_bytes,
            max_in_flight: config.max_in_flight,
        };
        let names: Vec<_> = config.models.iter().map(ToString::to_string).collect();
        let page_limits = page::PictureLimits {
            message_bytes: config.max_message_bytes,
            picture_pixels: config.max_picture_pixels,
        };
        let service = service.with_server(|server| {
            server
                .with_pages(page::router(&names, page_limits))
                .with_http(move |services| rest::router(services, http))
        });
        let service = service.with_upload(UPLOAD);
        let ready = |readiness| report_readiness(registry, readiness);
        let stop_work = async {
            for loader in loaders {
                // Stops where it waits; the supervisor has logged its deaths.
                let _ = loader.await;
            }
        };
        service
            .serve(routes, shutdown, ready, stop_work, async {})
            .await
    }
}

/// Makes loaders of a model, one after the other.
fn loader(
    config: &Config,
    storage: &Storage,
    trust: &Trust,
    model: &Arc<Model>,
) -> impl Fn() -> Loader + Send + 'static {
    let (interval, pinned) = (config.interval(), config.pinned(&model.name));
    let (storage, model) = (storage.clone(), Arc::clone(model));
    let highest = trust.highest(&model.name);
    move || {
        Loader::new(storage.clone(), Arc::clone(&model), interval, pinned)
            .with_highest(highest.clone())
    }
}

/// Follows the storage for one model until the shutdown.
///
/// A panic while a checkpoint is loaded fails that load alone ([`Loader`]). A loader that fails
/// otherwise is restarted, and the current snapshot keeps serving. One that keeps failing for
/// minutes fails liveness: the replica would serve an old checkpoint forever.
fn load(
    loader: impl Fn() -> Loader + Send + 'static,
    model: &Model,
    service: &Running,
    shutdown: &CancellationToken,
) -> JoinHandle<()> {
    let task = Task::instance("loader", &model.name);
    let stop = shutdown.clone();
    let start = move || loader().run(stop.clone());
    let supervisor = service.supervisor();
    supervisor.restart(task, RepeatedDeaths::FailLiveness, shutdown.clone(), start)
}

/// Reports ready once every model serves; looks again whenever a checkpoint was swapped in.
async fn report_readiness(registry: Arc<Registry>, readiness: ServiceReadiness) {
    let mut swaps = registry.subscribe();
    loop {
        match not_loaded(&registry) {
            None => readiness.set_ready().await,
            Some(reason) => readiness.set_not_ready(reason),
        }
        if swaps.changed().await.is_err() {
            return;
        }
    }
}

/// Why the service is not ready: the models without a checkpoint.
fn not_loaded(registry: &Registry) -> Option<String> {
    let names: Vec<_> = registry
        .models()
        .filter(|model| !model.is_serving())
        .map(|model| model.name.to_string())
        .collect();
    let list = names.join(", ");
    (!names.is_empty()).then(|| format!("no checkpoint is loaded yet of {list}"))
}

fn limits(config: &Config) -> RequestLimits {
    RequestLimits {
        queue: QueueLimits {
            max_requests: config.max_queued,
            max_bytes: config.max_queued_bytes,
            inline: InlineLimits {
                max_request_multiply_adds: config.max_inline_multiply_adds,
                max_image_multiply_adds: config.max_inline_image_multiply_adds,
            },
        },
        max_images: config.max_images,
        max_pictures: config.max_pictures,
        picture: digits_picture::Limits {
            max_pixels: config.max_picture_pixels,
            max_memory: config.max_picture_memory as u64,
        },
        picture_queue: PictureQueueLimits {
            max_bytes: config.max_queued_picture_bytes as u64,
            max_pixels: config.max_queued_picture_pixels,
            max_memory: config.max_picture_memory as u64,
        },
        max_response_bytes: config.max_message_bytes,
    }
}
