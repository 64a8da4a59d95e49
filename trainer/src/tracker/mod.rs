//! Writes jobs to experiment trackers.
//!
//! The events of a job, which the job database has anyway, are what is to be written: a supervised
//! task for each tracker follows them and keeps its position in the database. Jobs do not wait for
//! it, nothing piles up while a tracker is away, and what a crash interrupts is written again,
//! which changes nothing at the tracker.

mod flags;
mod follow;
mod mlflow;
mod tensorboard;

pub use flags::TrackerFlags;
pub use mlflow::TrackingUri;

use crate::{
    metrics::{TrackerLabel, TrackerMetrics},
    store::Store,
    worker::WorkerContext,
};
use digits_service::Error;
use digits_telemetry::supervisor::{RepeatedDeaths, Task};
use flags::Server;
use follow::{Follower, Tracker};
use mlflow::{Known, Mlflow};
use std::path::PathBuf;
use tensorboard::TensorBoard;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The trackers of the jobs.
#[derive(Clone)]
pub(crate) struct Trackers {
    mlflow: Option<Server>,
    /// Folder for TensorBoard.
    tensorboard: Option<PathBuf>,
}

impl Trackers {
    /// Checks the flags.
    ///
    /// # Errors
    /// When one cannot be used.
    pub(crate) fn open(flags: &TrackerFlags) -> Result<Self, Error> {
        let mlflow = flags.mlflow().map_err(Error::Config)?;
        let tensorboard = flags.tensorboard().map_err(Error::Config)?;
        Ok(Self {
            mlflow,
            tensorboard,
        })
    }

    /// Enters the trackers into the database, which must be writable.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) async fn enter(&self, store: &Store) -> Result<(), Error> {
        let mlflow = self.mlflow.iter().map(|it| it.target.clone());
        let folder = self.tensorboard.iter().map(|it| it.display().to_string());
        let trackers = mlflow.map(|target| (Mlflow::NAME, target));
        for (name, target) in trackers.chain(folder.map(|target| (TensorBoard::NAME, target))) {
            let entered = store.begin_tracker(name, target).await;
            entered.map_err(Error::unavailable("--state cannot be used"))?;
        }
        Ok(())
    }

    /// Starts a task for each tracker, until `stop` is cancelled. They never fail liveness: jobs do
    /// not depend on them.
    pub(crate) fn start(
        self,
        services: &WorkerContext,
        stop: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let mut tasks = Vec::new();
        if let Some(server) = self.mlflow {
            let (store, storage) = (services.store.clone(), services.storage.clone());
            tasks.push(start(
                services,
                stop,
                TrackerLabel::Mlflow,
                move |metrics| Mlflow {
                    client: server.client.clone(),
                    experiment: server.experiment.clone(),
                    store: store.clone(),
                    storage: storage.clone(),
                    metrics,
                    known: Known::default(),
                },
            ));
        }
        if let Some(folder) = self.tensorboard {
            let (storage, label) = (services.storage.clone(), TrackerLabel::Tensorboard);
            tasks.push(start(services, stop, label, move |metrics| TensorBoard {
                folder: folder.clone(),
                storage: storage.clone(),
                metrics,
            }));
        }
        tasks
    }
}

/// Starts the task of a tracker.
fn start<T: Tracker + 'static>(
    services: &WorkerContext,
    stop: &CancellationToken,
    label: TrackerLabel,
    tracker: impl Fn(TrackerMetrics) -> T + Send + 'static,
) -> JoinHandle<()> {
    let (store, until) = (services.store.clone(), stop.clone());
    let metrics = services.metrics.trackers.of(label);
    services.supervisor.restart(
        Task::new(T::NAME),
        RepeatedDeaths::Tolerate,
        stop.clone(),
        move || {
            let tracker = tracker(metrics.clone());
            Follower::new(tracker, store.clone(), metrics.clone()).run(until.clone())
        },
    )
}
