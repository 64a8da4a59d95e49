//! Makes the report card of a checkpoint when a client asks for it: one at a time, on a thread of its own, within a
//! deadline. A client that goes away stops the measuring.
//!
//! The figures are [`crate::train::report`]'s; jobs that ask for a report get theirs from the publisher.

use crate::{
    datasets::{Catalog, NotFound},
    metrics::Metrics,
    spec,
    train::{
        TrainError,
        report::{Subject, report},
    },
    wire::SpecMessage,
    worker::Tools,
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

/// After this time a report is given up.
const DEADLINE: Duration = Duration::from_secs(300);

/// Makes reports; one at a time.
pub struct Reporter {
    storage: Storage,
    catalog: Arc<Catalog>,
    metrics: Metrics,
    place: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// A report and the manifest of its checkpoint.
pub struct Answer {
    /// The report.
    pub report: Report,
    /// Whether it was in the manifest.
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
    /// It cannot be measured here; the reason is for the client.
    #[error("{0}")]
    Refused(String),
    /// It took too long.
    #[error("the report took longer than {0:?}")]
    TooLong(Duration),
    /// The process is about to end.
    #[error("the trainer is shutting down")]
    ShuttingDown,
    /// The storage cannot be asked for the data set just now.
    #[error("the storage cannot be asked for the data set")]
    Unavailable,
    /// The data set cannot be loaded.
    #[error(transparent)]
    Data(#[from] PushedError),
    /// The measuring failed.
    #[error(transparent)]
    Measuring(#[from] TrainError),
    /// The system gives no thread, or the thread ended without a word.
    #[error("the thread of a report: {0}")]
    Thread(String),
}

impl Reporter {
    /// With the storage and data sets of a worker; `shutdown` ends what is being measured.
    #[must_use]
    pub fn new(tools: &Tools, shutdown: CancellationToken) -> Self {
        Self {
            storage: tools.storage.clone(),
            catalog: Arc::clone(&tools.catalog),
            metrics: tools.metrics.clone(),
            place: Arc::new(Semaphore::new(1)),
            shutdown,
        }
    }

    /// The report of a checkpoint: from its manifest, or measured now where that has none or `again` is set.
    ///
    /// # Errors
    /// [`ReportError`].
    pub async fn report(&self, id: CheckpointId, again: bool) -> Result<Answer, ReportError> {
        let manifest = digits_checkpoint::manifest(&self.storage, id).await?;
        let mut manifest = manifest.ok_or(ReportError::UnknownCheckpoint(id))?;
        if !again && let Some(report) = manifest.report.take() {
            return Ok(Answer {
                report: *report,
                from_manifest: true,
                manifest,
            });
        }
        let place = Arc::clone(&self.place)
            .try_acquire_owned()
            .map_err(|_| ReportError::Busy)?;
        tokio::select! {
            made = tokio::time::timeout(DEADLINE, self.measure(id, place)) => {
                let report = made.map_err(|_| ReportError::TooLong(DEADLINE))??;
                Ok(Answer { report, from_manifest: false, manifest })
            }
            () = self.shutdown.cancelled() => Err(ReportError::ShuttingDown),
        }
    }

    async fn measure(
        &self,
        id: CheckpointId,
        place: OwnedSemaphorePermit,
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
        // Dropped with this future, whatever ends it.
        let stop = StopWhenDropped::default();
        let stopped = Arc::clone(&stop.0);
        let (sender, receiver) = oneshot::channel();
        let (catalog, metrics) = (Arc::clone(&self.catalog), self.metrics.clone());
        thread::Builder::new()
            .name("report".to_owned())
            .spawn(move || {
                let made = measure_on(&catalog, &loaded, &metrics, &stopped);
                // First, so that who has the answer can ask for the next one.
                drop(place);
                // Nobody waits any longer: then nobody wants it.
                let _ = sender.send(made);
            })
            .map_err(|error| ReportError::Thread(error.to_string()))?;
        receiver
            .await
            .map_err(|_| ReportError::Thread("it ended without a word".to_owned()))?
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
    };
    let made = report(&subject, &data.test, &|| stopped.load(Ordering::Acquire));
    metrics.report_made(&made);
    made?.ok_or(ReportError::ShuttingDown)
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
    let wanted = spec::wanted(&SpecMessage::from(spec).request().data);
    catalog.shape(&wanted).map_err(|not_found| match not_found {
        NotFound::Refused(_) => refused(
            "the data set that the checkpoint was trained on is not known here: name it in the configuration, or push it",
        ),
        NotFound::Unavailable => ReportError::Unavailable,
    })?;
    let data = catalog.load(&wanted)?;
    if data.digest != lineage.dataset_digest {
        return Err(refused(
            "the data set has changed since the checkpoint was trained: its digest is another",
        ));
    }
    Ok(data)
}
