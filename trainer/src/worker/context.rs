//! Shared services handed to each worker.

use super::{bundles::Bundles, outbox::Outbox, running::RunningJobs};
use crate::{datasets::Catalog, metrics::Metrics, remote_write::RemoteWrite, store::Store};
use digits_checkpoint::Storage;
use digits_telemetry::{supervisor::Supervisor, traces::Traces};
use std::{sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// Shared services handed to each worker; cheap to clone.
#[derive(Clone)]
pub struct WorkerContext {
    /// The job database.
    pub(crate) store: Store,
    /// Storage of the checkpoints.
    pub(crate) storage: Storage,
    /// Data sets that jobs train on.
    pub(crate) catalog: Arc<Catalog>,
    /// Jobs that run, so that other parts of the service can stop them and read their progress.
    pub(crate) running: Arc<RunningJobs>,
    /// Resume bundles.
    pub(crate) bundles: Arc<Bundles>,
    /// Checkpoints that wait for a storage that fails.
    pub(crate) outbox: Arc<Outbox>,
    /// Time between two bundles of a job.
    pub(crate) bundle_interval: Duration,
    /// Longest time for which a running job waits while its output cannot be written.
    pub(crate) max_outage: Duration,
    /// Largest loss of accuracy with which a checkpoint is promoted automatically.
    pub(crate) promotion_guard: Option<f64>,
    /// Metrics of the trainer.
    pub(crate) metrics: Metrics,
    /// Receives the points of the curves, if a receiver is configured.
    pub(crate) remote_write: RemoteWrite,
    /// Exports a span per attempt, if an exporter is configured.
    pub(crate) traces: Option<Traces>,
    /// Watches the worker threads.
    pub(crate) supervisor: Supervisor,
    /// Runs the tasks that write a job's rows, checkpoints and bundles.
    pub(crate) runtime: Handle,
}
