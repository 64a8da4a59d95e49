//! Health over gRPC (`grpc.health.v1`). `/readyz` is served by `digits_telemetry`.

use std::sync::Arc;

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::compressed;

/// What the paths of the methods begin with.
pub(crate) const PATH: &str = "/grpc.health.v1.Health/";
/// Longest request, unpacked: the name of a service. Health is answered without a token.
pub(crate) const MAX_MESSAGE: usize = 4 << 10;

/// The status that `grpc.health.v1.Health` returns. Clones share it.
#[derive(Debug, Clone)]
pub struct Health {
    reporter: HealthReporter,
    services: Arc<[&'static str]>,
}

impl Health {
    /// Returns the status and the service to add to the routes. At first everything is NOT_SERVING:
    /// the whole server (`""`), which tonic-health would start as SERVING, and each of `services`
    /// (full names, such as `digits.v1.InferenceService`).
    pub async fn new(services: &[&'static str]) -> (Self, HealthServer<HealthService>) {
        let health = Self {
            reporter: HealthReporter::new(),
            services: services.into(),
        };
        health.set_not_serving().await;
        let service = HealthService::from_health_reporter(health.reporter.clone());
        let server = HealthServer::new(service).max_decoding_message_size(MAX_MESSAGE);
        (health, compressed!(server))
    }

    /// Sets everything to SERVING.
    pub async fn set_serving(&self) {
        self.set_all(ServingStatus::Serving).await;
    }

    /// Sets everything to NOT_SERVING.
    pub async fn set_not_serving(&self) {
        self.set_all(ServingStatus::NotServing).await;
    }

    async fn set_all(&self, status: ServingStatus) {
        for service in std::iter::once(&"").chain(&*self.services) {
            self.reporter.set_service_status(service, status).await;
        }
    }
}
