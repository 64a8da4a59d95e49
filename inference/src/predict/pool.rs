//! Blocking work of requests off the runtime's threads: decoding and normalizing of pictures.

use super::error::PredictError;
use digits_server::Deadline;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::available_parallelism,
};
use tokio::sync::Semaphore;

/// Runs blocking work, as many pieces at a time as there are cores; more wait in order. The
/// server's limit of concurrent requests bounds how many wait.
pub struct BlockingPool {
    permits: Arc<Semaphore>,
}

/// Whether the response is still wanted; blocking work checks it between images.
pub struct CancelFlag {
    cancelled: Arc<AtomicBool>,
    deadline: Deadline,
}

impl CancelFlag {
    /// # Errors
    ///
    /// [`PredictError::DeadlineExceeded`] when the client has gone or the deadline has passed.
    pub fn check(&self) -> Result<(), PredictError> {
        if self.cancelled.load(Ordering::Relaxed) || self.deadline.is_over() {
            return Err(PredictError::DeadlineExceeded);
        }
        Ok(())
    }
}

/// Cancels the work when the request's future is dropped: the client has gone.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl BlockingPool {
    /// A pool of as many permits as there are cores.
    #[must_use]
    pub fn new() -> Self {
        let cores = available_parallelism().map_or(1, |cores| cores.get());
        Self {
            permits: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Runs `work` on a blocking thread.
    ///
    /// # Errors
    ///
    /// [`PredictError::DeadlineExceeded`] when the deadline passed before a thread was free,
    /// [`PredictError::Panicked`], and the errors of `work`.
    pub async fn run<T: Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl FnOnce(&CancelFlag) -> Result<T, PredictError> + Send + 'static,
    ) -> Result<T, PredictError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let cancelled = Arc::new(AtomicBool::new(false));
        let _cancel = CancelOnDrop(Arc::clone(&cancelled));
        let flag = CancelFlag {
            cancelled,
            deadline,
        };
        flag.check()?;
        let task = tokio::task::spawn_blocking(move || {
            // Held until the work ends, even if the request was cancelled.
            let _permit = permit;
            work(&flag)
        });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "preprocessing of a request panicked");
            Err(PredictError::Panicked)
        })
    }
}

impl Default for BlockingPool {
    fn default() -> Self {
        Self::new()
    }
}
