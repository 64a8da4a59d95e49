//! Measures the report card of a checkpoint for `ReportCheckpoint`: one at a time, on a thread of
//! its own, within a time limit. A client that disconnects stops the measurement.
//!
//! [`crate::train::report`] computes the figures. A job that wants a report measures it with its
//! last checkpoint.

use crate::{
    datasets::{Catalog, UnusableDataset},
    metrics::Metrics,
    spec,
    train::{
        TrainError,
        report::{Subject, report},
    },
    wire::SpecMessage,
    worker::WorkerContext,
};
use digits_checkpoint::{
    LoadError, Loaded, Storage, StorageError,
    id::CheckpointId,
    manifest::{Lineage, Manifest, Report},
    messages::trained_spec,
};
use digits_dataset::{Dataset, pushed::PushedError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

/// Time limit of a report.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Measures report cards, one at a time.
pub struct Reporter {
    storage: Storage,
    catalog: Arc<Catalog>,
    metrics: Metrics,
    permits: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// A report and the manifest of its checkpoint.
pub struct MeasuredReport {
    /// The report.
    pub report: Report,
    /// Whether the report was in the manifest already.
    pub from_manifest: bool,
    /// The manifest.
    pub manifest: Manifest,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is no committed checkpoint of this id.
    #[error("there is no checkpoint {0}")]
    UnknownCheckpoint(CheckpointId),
    /// Another report is being measured.
    #[error("another report is being measured")]
    Busy,
    /// The checkpoint cannot be measured here; the reason is for the client.
    #[error("{0}")]
    Refused(String),
    /// The time limit has passed.
    #[error("the report took longer than {0:?}")]
    TooLong(Duration),
    /// The process is shutting down.
    #[error("the trainer is shutting down")]
    ShuttingDown,
    /// The storage of the data set cannot be read at the moment.
    #[error("the storage of the data set cannot be read")]
    Unavailable,
    /// The data set cannot be loaded.
    #[error(transparent)]
    Data(#[from] PushedError),
    /// The measurement failed.
    #[error(transparent)]
    Measuring(#[from] TrainError),
    /// The system gives no thread, or the thread panicked.
    #[error("the thread of a report: {0}")]
    Thread(String),
}

impl Reporter {
    /// Uses the storage and data sets of the workers; `shutdown` stops a measurement.
    #[must_use]
    pub fn new(services: &WorkerContext, shutdown: CancellationToken) -> Self {
        Self {
            storage: services.storage.clone(),
            catalog: Arc::clone(&services.catalog),
            metrics: services.metrics.clone(),
            permits: Arc::new(Semaphore::new(1)),
            shutdown,
        }
    }

    /// The report of a checkpoint: from its manifest, or measured now where the manifest has none
    /// or `again` is set.
    ///
    /// # Errors
    /// [`ReportError`].
    pub async fn report(
        &self,
        id: CheckpointId,
        again: bool,
    ) -> Result<MeasuredReport, ReportError> {
        let manifest = digits_checkpoint::manifest(&self.storage, id).await?;
        let mut manifest = manifest.ok_or(ReportError::UnknownCheckpoint(id))?;
        if !again && let Some(report) = manifest.report.take() {
            return Ok(MeasuredReport {
                report: *report,
                from_manifest: true,
                manifest,
            });
        }
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| ReportError::Busy)?;
        tokio::select! {
            measured = tokio::time::timeout(TIME_LIMIT, self.measure(id, permit)) => {
                let report = measured.map_err(|_| ReportError::TooLong(TIME_LIMIT))??;
                Ok(MeasuredReport { report, from_manifest: false, manifest })
            }
            () = self.shutdown.cancelled() => Err(ReportError::ShuttingDown),
        }
    }

    async fn measure(
        &self,
        id: CheckpointId,
        permit: OwnedSemaphorePermit,
    ) -> Result<Report, ReportError> {
        let loaded =
            digits_checkpoint::load(&self.storage, id)
                .await
                .map_err(|error| match error {
                    LoadError::Unavailable(error) => ReportError::Storage(error),
                    LoadError::Refused(refusal) => ReportError::Refused(format!(
                        "checkpoint {id} is damaged and cannot be measured: {refusal}"
                    )),
                })?;
        // Dropped with this future, so that a disconnect or the time limit stops the thread.
        let stop = StopWhenDropped::default();
        let stopped = Arc::clone(&stop.0);
        let (sender, receiver) = oneshot::channel();
        let (catalog, metrics) = (Arc::clone(&self.catalog), self.metrics.clone());
        thread::Builder::new()
            .name("report".to_owned())
            .spawn(move || {
                let measured = measure_on(&catalog, &loaded, &metrics, &stopped);
                // First, so that a client that has its answer can request the next one.
                drop(permit);
                // Fails when the client has disconnected.
                let _ = sender.send(measured);
            })
            .map_err(|error| ReportError::Thread(error.to_string()))?;
        receiver
            .await
            .map_err(|_| ReportError::Thread("it panicked".to_owned()))?
    }
}

#[derive(Default)]
struct StopWhenDropped(Arc<AtomicBool>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn measure_on(
    catalog: &Catalog,
    loaded: &Loaded,
    metrics: &Metrics,
    stopped: &AtomicBool,
) -> Result<Report, ReportError> {
    let manifest = &loaded.manifest;
    let data = data_set(catalog, &manifest.lineage)?;
    let subject = Subject {
        layers: &loaded.layers,
        architecture: &manifest.architecture,
        input: &manifest.input,
        temperature: manifest.temperature,
        labels: &manifest.labels,
    };
    let measured = report(&subject, &data.test, &|| stopped.load(Ordering::Acquire));
    let made = measured.as_ref().ok().and_then(Option::as_ref);
    metrics.report_made(made.map(|report| report.seconds));
    measured?.ok_or(ReportError::ShuttingDown)
}

/// The data set that the checkpoint was trained on, as it was then.
fn data_set(catalog: &Catalog, lineage: &Lineage) -> Result<Arc<Dataset>, ReportError> {
    let refused = |reason: &str| ReportError::Refused(reason.to_owned());
    let spec = trained_spec(lineage).map_err(|error| {
        tracing::warn!(job = ?lineage.job, %error, "the spec in a manifest cannot be read");
        refused("the spec in the checkpoint's manifest cannot be read by this version: it cannot be measured")
    })?;
    let spec = spec.ok_or_else(|| {
        refused(
            "the checkpoint does not say which data set it was trained on: it cannot be measured",
        )
    })?;
    let source = spec::dataset_source(&SpecMessage::from(spec).request().data);
    catalog.shape(&source).map_err(|not_found| match not_found {
        UnusableDataset::Refused(_) => refused(
            "the data set that the checkpoint was trained on is not known here: name it in the configuration, or push it",
        ),
        UnusableDataset::Unavailable => ReportError::Unavailable,
    })?;
    let data = catalog.load(&source)?;
    if data.digest != lineage.dataset_digest {
        return Err(refused(
            "the data set has changed since the checkpoint was trained: its digest is another",
        ));
    }
    Ok(data)
}
