//! The workers: threads that take jobs from the queue until they are told to stop.

use super::{
    attempt::run_job,
    bundles::Bundles,
    running::{Registry, Stop},
};
use crate::{
    datasets::Catalog,
    intake::Intake,
    metrics::Metrics,
    remote_write::RemoteWrite,
    store::{Store, StoreError},
    train::{self, Device},
};
use digits_checkpoint::Storage;
use digits_telemetry::{
    supervisor::{Supervisor, Task},
    traces::Traces,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

/// Without a wake-up the queue is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What the workers need.
#[derive(Clone)]
pub struct Tools {
    /// Jobs.
    pub store: Store,
    /// Checkpoints.
    pub storage: Storage,
    /// Data sets.
    pub catalog: Arc<Catalog>,
    /// Jobs that run, for those who want to stop or see them.
    pub registry: Arc<Registry>,
    /// Resume bundles.
    pub bundles: Arc<Bundles>,
    /// Time between two bundles of a job.
    pub bundle_interval: Duration,
    /// Metrics.
    pub metrics: Metrics,
    /// Where the points of curves are pushed to, if anywhere.
    pub remote_write: RemoteWrite,
    /// Where spans are exported to, if anywhere.
    pub traces: Option<Traces>,
    /// Watches the threads and tasks that live as long as the service.
    pub supervisor: Supervisor,
    /// The runtime that carries out the storage's calls.
    pub runtime: tokio::runtime::Handle,
}

impl Tools {
    /// What takes jobs in for workers with these tools.
    #[must_use]
    pub fn intake(&self, wake: Wake, queue_capacity: u64) -> Intake {
        Intake {
            store: self.store.clone(),
            storage: self.storage.clone(),
            catalog: Arc::clone(&self.catalog),
            metrics: self.metrics.clone(),
            wake,
            queue_capacity,
        }
    }
}

/// Wakes the workers; cheap to clone.
#[derive(Clone)]
pub struct Wake(Arc<[SyncSender<()>]>);

impl Wake {
    /// There may be a job.
    pub fn wake(&self) {
        for worker in self.0.iter() {
            match worker.try_send(()) {
                // Full: it will look anyway.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
    }
}

/// One of the workers, as its jobs see it.
pub(super) struct Place {
    pub(super) tools: Tools,
    /// Where its jobs run whose device is `auto`.
    pub(super) device: Device,
    /// CPU threads for a job.
    pub(super) threads: usize,
    pub(super) shutdown: Arc<AtomicBool>,
}

/// Running workers.
pub struct Workers {
    shutdown: Arc<AtomicBool>,
    wake: Wake,
    registry: Arc<Registry>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads, at least one. They share the cores; each has a GPU of its own while there are enough.
    ///
    /// A panic of a training ends its job alone. Any other panic leaves a job that is marked as
    /// running and is not trained,
    /// which only the start of a process puts right: it fails liveness.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(tools: &Tools, count: usize) -> std::io::Result<Self> {
        let count = count.max(1);
        let shutdown = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::with_capacity(count);
        let mut wakes = Vec::with_capacity(count);
        for number in 0..count {
            let (sender, receiver) = sync_channel(1);
            let place = Place {
                tools: tools.clone(),
                device: train::worker_device(number),
                threads: (train::cores() / count).max(1),
                shutdown: Arc::clone(&shutdown),
            };
            wakes.push(sender);
            let task = Task::instance("worker", number);
            threads.push(
                tools
                    .supervisor
                    .watch_thread(task, move || work(&place, &receiver))?,
            );
        }
        Ok(Self {
            shutdown,
            wake: Wake(wakes.into()),
            registry: Arc::clone(&tools.registry),
            threads,
        })
    }

    /// Wakes them.
    #[must_use]
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Stops every running job at its next step, which goes back to the queue with its bundle, and returns the
    /// threads to wait for.
    #[must_use]
    pub fn stop(self) -> Vec<thread::JoinHandle<()>> {
        self.shutdown.store(true, Ordering::Release);
        self.registry.stop_all(Stop::Shutdown);
        self.wake.wake();
        self.threads
    }
}

fn work(place: &Place, wake: &Receiver<()>) {
    while !place.shutdown.load(Ordering::Acquire) {
        match place.tools.store.claim() {
            Ok(Some(job)) => run_job(place, &job),
            Ok(None) => {
                // A timeout is as good as a wake-up.
                let _ = wake.recv_timeout(LOOK_AGAIN);
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::error!(%error, "the queue cannot be read");
                let _ = wake.recv_timeout(LOOK_AGAIN);
            }
        }
    }
}
