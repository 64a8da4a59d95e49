//! What all requests of a server share, and the admission of a request.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::access_log::RequestLogging;
use super::metrics::RequestMetrics;
use crate::config::ServerConfig;
use crate::credentials::Credentials;
use crate::status::retry_status;

/// After this, a client whose request was over the limit should try again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Shared by the requests of a server.
pub(crate) struct ServerState {
    pub(crate) metrics: RequestMetrics,
    pub(crate) logging: RequestLogging,
    pub(crate) credentials: Credentials,
    /// Ends the streams that clients hold open for good.
    pub(crate) shutdown: CancellationToken,
    in_flight: Arc<Semaphore>,
    max_in_flight: usize,
}

impl ServerState {
    pub(crate) fn new(
        config: &ServerConfig,
        metrics: RequestMetrics,
        shutdown: CancellationToken,
    ) -> Self {
        let max_in_flight = config.max_in_flight.min(Semaphore::MAX_PERMITS);
        Self {
            metrics,
            logging: RequestLogging {
                access_log: config.access_log,
                traces: config.traces.clone(),
            },
            credentials: config.credentials.clone(),
            shutdown,
            in_flight: Arc::new(Semaphore::new(max_in_flight)),
            max_in_flight,
        }
    }

    /// Requests that hold a permit of [`Self::limit`].
    pub(crate) fn in_flight(&self) -> usize {
        self.max_in_flight - self.in_flight.available_permits()
    }

    /// The name of the request's token; `None` where no token is needed.
    ///
    /// # Errors
    /// UNAUTHENTICATED without a valid token.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Arc<str>>, Status> {
        let authenticated = self.credentials.authenticate(headers);
        authenticated.map_err(|error| Status::unauthenticated(error.to_string()))
    }

    /// A permit to be held until the end of the request's response.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when too many requests are in flight.
    pub(crate) fn limit(&self) -> Result<OwnedSemaphorePermit, Status> {
        let permit = Arc::clone(&self.in_flight).try_acquire_owned();
        permit.map_err(|_| retry_status("too many requests in flight; try again", RETRY_AFTER))
    }
}
