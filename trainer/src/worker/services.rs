//! Shared services handed to each training, wherever it runs.

use super::context::WorkerContext;
use crate::{datasets::Catalog, metrics::Metrics};
use digits_checkpoint::Storage;
use std::{sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// Shared services handed to each training; cheap to clone.
#[derive(Clone)]
pub(crate) struct TrainingServices {
    /// Storage of the checkpoints that jobs start from.
    pub(crate) storage: Storage,
    /// Data sets that jobs train on.
    pub(crate) catalog: Arc<Catalog>,
    /// Time between two bundles of a job.
    pub(crate) bundle_interval: Duration,
    /// Longest time for which a running job waits while its output cannot be written.
    pub(crate) max_outage: Duration,
    /// Metrics of the process.
    pub(crate) metrics: Metrics,
    /// Runs the tasks that write a job's rows, checkpoints and bundles.
    pub(crate) runtime: Handle,
}

impl From<&WorkerContext> for TrainingServices {
    fn from(context: &WorkerContext) -> Self {
        Self {
            storage: context.storage.clone(),
            catalog: Arc::clone(&context.catalog),
            bundle_interval: context.bundle_interval,
            max_outage: context.max_outage,
            metrics: context.metrics.clone(),
            runtime: context.runtime.clone(),
        }
    }
}
