//! What all calls share: the schema, the services, and the limits.

use std::sync::Arc;
use std::thread::available_parallelism;

use digits_transcode::Schema;
use tokio::sync::Semaphore;
use tonic::Status;

use crate::middleware::InstrumentedService;

/// Longest message that is translated inline.
const MAX_INLINE_BYTES: usize = 32 << 10;

/// Translates the messages of calls.
pub(super) struct Translation {
    pub(super) schema: Schema,
    pub(super) service: InstrumentedService,
    /// Longest message, and longest text of one.
    pub(super) max_bytes: usize,
    /// Permits of translations on threads that may block.
    blocking: Arc<Semaphore>,
}

impl Translation {
    pub(super) fn new(schema: Schema, service: &InstrumentedService, max_bytes: usize) -> Self {
        let cores = available_parallelism().map_or(1, |cores| cores.get());
        Self {
            schema,
            service: service.with_paced_bodies(),
            max_bytes,
            blocking: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Runs `translate`, which looks at `bytes` bytes: inline if they are few, otherwise on a thread
    /// that may block, as many at one time as there are cores.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        translate: impl FnOnce() -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        if bytes <= MAX_INLINE_BYTES {
            return translate();
        }
        let permit = Arc::clone(&self.blocking).acquire_owned().await;
        let translated = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            translate()
        });
        translated.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a message could not be translated");
            Err(Status::internal("the request failed; see the server's log"))
        })
    }
}
