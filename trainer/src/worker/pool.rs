//! The workers: threads that take jobs from the queue until they are stopped.

use super::{
    attempt::run_job,
    context::WorkerContext,
    executor::Executor,
    local::Local,
    processes::{Processes, WorkerCommand},
    remote::Remote,
    running::StopReason,
    slot::WorkerSlot,
};
use crate::{store::StoreError, train};
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
}

/// Running workers.
pub struct Workers {
    shutdown: Arc<AtomicBool>,
    wake: Wake,
    context: WorkerContext,
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
    /// When the system gives no thread.
    pub fn start(
        context: WorkerContext,
        count: usize,
        execution: Execution,
    ) -> std::io::Result<Self> {
        let count = count.max(1);
        let executor: Arc<dyn Executor> = match execution {
            Execution::Local => Arc::new(Local),
            Execution::Processes(command) => Arc::new(Remote::new(Processes::new(command))),
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
            let work = move || work(&slot, &*executor, &receiver);
            threads.push(context.supervisor.watch_thread(task, work)?);
        }
        Ok(Self {
            shutdown,
            wake: Wake(wakes.into()),
            context,
            threads,
        })
    }

    /// Wakes them.
    #[must_use]
    pub fn wake(&self) -> Wake {
        self.wake.clone()
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

fn work(slot: &WorkerSlot, executor: &dyn Executor, wake: &Receiver<()>) {
    while !slot.shutdown.load(Ordering::Acquire) {
        match slot.context.store.claim() {
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
