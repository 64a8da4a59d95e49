//! Cancels jobs, for `CancelJob` and for sweeps.

use crate::{
    job::JobId,
    store::{Job, Store, StoreError},
    worker::{Bundles, RunningJobs, StopReason, clear_runs, mark_unfinished},
};
use digits_checkpoint::Storage;
use std::sync::Arc;

/// Cancels jobs; cheap to clone.
#[derive(Clone)]
pub struct Canceller {
    /// The job database.
    pub store: Store,
    /// Where jobs may have published.
    pub storage: Storage,
    /// Jobs that run.
    pub running: Arc<RunningJobs>,
    /// Resume bundles.
    pub bundles: Arc<Bundles>,
}

impl Canceller {
    /// Cancels a job: a queued one ends at once, a running one stops before its next step, one that
    /// has ended stays as it is. Returns the resulting job. With a journal, the caller waits for the
    /// storage for a limited time; the cancellation continues after that.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`] and the rest of [`StoreError`].
    pub async fn cancel(&self, id: JobId) -> Result<Job, StoreError> {
        let cancelling = tokio::spawn(self.clone().cancel_and_stop(id));
        let cancelled = async { cancelling.await.unwrap_or(Err(StoreError::Closed)) };
        let job = self.store.for_client(cancelled).await?;
        if job.state.is_end() && self.running.get(id).is_none() {
            self.remove_bundle(id).await;
            // It may have published before it was released into the queue.
            mark_unfinished(&self.store, &self.storage).await;
            clear_runs(&self.store, &self.storage).await;
        }
        Ok(job)
    }

    /// The database is marked first: a job that starts now sees the mark, a running one sees the
    /// stop.
    async fn cancel_and_stop(self, id: JobId) -> Result<Job, StoreError> {
        let job = self.store.cancel(id).await?;
        if let Some(running) = self.running.get(id) {
            running.stop(StopReason::Cancel);
        }
        Ok(job)
    }

    /// Deletes the bundle of a job that was cancelled while it waited to be resumed.
    async fn remove_bundle(&self, job: JobId) {
        let bundles = Arc::clone(&self.bundles);
        // A failure leaves it to the next start, which sweeps.
        let _ = tokio::task::spawn_blocking(move || bundles.remove(job)).await;
    }
}
