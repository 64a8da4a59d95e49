//! The workers: threads that take jobs from the queue until they are stopped.

use super::{
    attempt::run_job,
    context::WorkerContext,
    executor::Executor,
    kubernetes::{ClusterError, JobSettings, Jobs},
    local::Local,
    processes::{Processes, WorkerCommand},
    remote::Remote,
    running::StopReason,
    slot::WorkerSlot,
};
use crate::{
    store::{Machine, StoreError},
    train,
};
use digits_telemetry::supervisor::Task;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

/// A worker that is not woken reads the queue this often.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Wakes the workers; cheap to clone.
#[derive(Clone)]
pub struct Wake(Arc<[SyncSender<()>]>);

impl Wake {
    /// Wakes the workers, because a job may be queued.
    pub fn wake(&self) {
        for worker in self.0.iter() {
            match worker.try_send(()) {
                // Full: it is about to read the queue anyway.
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
    }
}

/// Where the attempts of jobs run.
#[derive(Clone, Debug)]
pub enum Execution {
    /// On the threads of the workers.
    Local,
    /// In a process for each attempt.
    Processes(WorkerCommand),
    /// In a Job of a cluster for each attempt.
    Jobs(JobSettings),
}

/// Why workers cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gives no thread.
    #[error(transparent)]
    Thread(#[from] std::io::Error),
    /// There is no cluster.
    #[error("{0}")]
    Cluster(String),
}

impl From<ClusterError> for StartError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(error.to_string())
    }
}

/// Running workers.
pub struct Workers {
    shutdown: Arc<AtomicBool>,
    wake: Wake,
    context: WorkerContext,
    /// Whether attempts go on while no trainer runs.
    leaves_attempts: bool,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads, at least one. They share the cores; each has a GPU of its own while
    /// there are enough.
    ///
    /// A panic of a training ends its job alone. Any other panic leaves a job that is marked as
    /// running and is not trained, which only a restart of the process repairs: it fails liveness.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        context: WorkerContext,
        count: usize,
        execution: Execution,
    ) -> Result<Self, StartError> {
        let count = count.max(1);
        let leaves_attempts = matches!(execution, Execution::Jobs(_));
        let machine = match execution {
            Execution::Local | Execution::Processes(_) => Machine::Shared,
            Execution::Jobs(_) => Machine::Own,
        };
        let executor: Arc<dyn Executor> = match execution {
            Execution::Local => Arc::new(Local),
            Execution::Processes(command) => Arc::new(Remote::new(Processes::new(command))),
            Execution::Jobs(settings) => {
                Arc::new(Remote::new(Jobs::connect(settings, &context).await?))
            }
        };
        let shutdown = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::with_capacity(count);
        let mut wakes = Vec::with_capacity(count);
        for number in 0..count {
            let (sender, receiver) = sync_channel(1);
            let slot = WorkerSlot {
                context: context.clone(),
                device: train::worker_device(number),
                threads: (train::cores() / count).max(1),
                shutdown: Arc::clone(&shutdown),
            };
            wakes.push(sender);
            let task = Task::instance("worker", number);
            let executor = Arc::clone(&executor);
            let work = move || work(&slot, &*executor, machine, &receiver);
            threads.push(context.supervisor.watch_thread(task, work)?);
        }
        Ok(Self {
            shutdown,
            wake: Wake(wakes.into()),
            context,
            leaves_attempts,
            threads,
        })
    }

    /// Wakes them.
    #[must_use]
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Whether attempts go on while no trainer runs.
    #[must_use]
    pub fn leaves_attempts(&self) -> bool {
        self.leaves_attempts
    }

    /// Stops every running job at its next step, which is released into the queue with its bundle,
    /// and returns the threads to wait for.
    #[must_use]
    pub fn stop(self) -> Vec<thread::JoinHandle<()>> {
        self.shutdown.store(true, Ordering::Release);
        self.context.running.stop_all(StopReason::Shutdown);
        self.wake.wake();
        self.threads
    }
}

fn work(slot: &WorkerSlot, executor: &dyn Executor, machine: Machine, wake: &Receiver<()>) {
    while !slot.shutdown.load(Ordering::Acquire) {
        match slot.context.store.claim(machine) {
            Ok(Some(job)) => run_job(slot, executor, &job),
            Ok(None) => {
                // A timeout is as good as a wake-up.
                let _ = wake.recv_timeout(POLL_INTERVAL);
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                tracing::error!(%error, "the queue of jobs cannot be read; retrying");
                let _ = wake.recv_timeout(POLL_INTERVAL);
            }
        }
    }
}
