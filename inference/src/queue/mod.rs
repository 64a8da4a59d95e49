//! The queue of large work: bounded by count and by bytes, and whatever waits for one checkpoint is computed together.
//!
//! There is no timer: a free worker takes what is there. So nothing waits for company, and the batches grow with the load.
//! Work that nobody waits for any more, or whose deadline is over, is dropped when its turn comes. Small work does not come here:
//! [`Queue::in_place`] tells, by times measured on this machine. Knows no gRPC.

mod handoff;
mod worker;

use crate::{
    engine::Network,
    metrics::{QueueMetrics, RoleMetrics},
    model::LoadedModel,
    pixels::Pixels,
};
use digits_telemetry::supervisor::{Supervisor, Task};
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
    time::Instant,
};
use tokio::sync::oneshot;

/// No request may hold a thread of the runtime for longer.
const HOLD_NANOSECONDS: f64 = 500_000.0;

/// What may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests.
    pub requests: usize,
    /// Bytes of their images. A single request that is larger waits alone.
    pub bytes: usize,
}

/// Images for one checkpoint.
pub struct Work {
    /// Who answers.
    pub checkpoint: Arc<LoadedModel>,
    /// Where its times are counted.
    pub metrics: Arc<RoleMetrics>,
    /// The images.
    pub pixels: Pixels,
    /// Until when the answer is wanted.
    pub deadline: Option<Instant>,
}

impl Work {
    fn images(&self) -> usize {
        self.pixels.len() / self.checkpoint.network.inputs()
    }

    fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|at| at <= Instant::now())
    }
}

/// Why work was not computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// Too much waits already.
    #[error("too much work waits")]
    Full,
    /// The deadline was over before its turn.
    #[error("its deadline is over")]
    Overdue,
    /// The engine failed on it.
    #[error("the engine failed")]
    Failed,
}

type Answer = Result<Vec<f32>, QueueError>;

/// Work that waits.
struct Job {
    work: Work,
    since: Instant,
    /// Closed when nobody waits any more.
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
    closed: bool,
}

struct Shared {
    limits: Limits,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    metrics: QueueMetrics,
}

impl Shared {
    /// Held for moments only.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queue. When it is dropped, its workers finish what waits and end.
pub struct Queue {
    shared: Arc<Shared>,
    handoff_nanoseconds: f64,
}

impl Queue {
    /// An empty queue without workers; measures what handing work over costs.
    ///
    /// # Errors
    ///
    /// When there can be no further thread.
    pub fn new(limits: Limits) -> io::Result<Self> {
        let handoff = handoff::measure()?;
        let metrics = QueueMetrics::new();
        metrics.handoff.set(handoff.as_secs_f64());
        metrics.capacity.set(limits.requests as f64);
        let waiting = Waiting {
            jobs: VecDeque::with_capacity(limits.requests.min(1 << 10)),
            ..Waiting::default()
        };
        Ok(Self {
            handoff_nanoseconds: handoff.as_nanos() as f64,
            shared: Arc::new(Shared {
                limits,
                waiting: Mutex::new(waiting),
                arrived: Condvar::new(),
                metrics,
            }),
        })
    }

    /// Starts a worker for each core. A worker survives a panic of the engine; any other panic may have
    /// left the queue itself inconsistent, and fails liveness.
    ///
    /// # Errors
    ///
    /// When there can be no further thread.
    pub fn start(&self, supervisor: &Supervisor) -> io::Result<()> {
        let workers = available_parallelism().map_or(1, |cores| cores.get());
        for worker in 0..workers {
            let shared = Arc::clone(&self.shared);
            let task = Task::instance("compute", worker);
            supervisor.watch_thread(task, move || worker::work(&shared))?;
        }
        tracing::info!(
            workers,
            handoff_microseconds = self.handoff_nanoseconds / 1e3,
            "large work is queued"
        );
        Ok(())
    }

    /// Whether so many images are better computed where they arrived: they hold the thread for a short time only, and what
    /// company in a batch could save is less than the hand-off costs.
    #[must_use]
    pub fn in_place(&self, network: &Network, images: usize) -> bool {
        let costs = network.costs();
        let here = costs.of(images);
        let saved = here - costs.among_many() * images as f64;
        here <= HOLD_NANOSECONDS && saved <= self.handoff_nanoseconds
    }

    /// Hands work over; to drop the receiver is to give it up.
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`].
    pub fn submit(&self, work: Work) -> Result<oneshot::Receiver<Answer>, QueueError> {
        let Shared {
            limits,
            metrics,
            arrived,
            ..
        } = &*self.shared;
        let (answer, receiver) = oneshot::channel();
        let bytes = work.pixels.size_bytes();
        let job = Job {
            work,
            answer,
            since: Instant::now(),
        };
        let mut waiting = self.shared.waiting();
        let fits = waiting.jobs.is_empty() || waiting.bytes + bytes <= limits.bytes;
        if waiting.jobs.len() >= limits.requests || !fits {
            drop(waiting);
            metrics.full.increment(1);
            return Err(QueueError::Full);
        }
        waiting.jobs.push_back(job);
        waiting.bytes += bytes;
        metrics.requests.set(waiting.jobs.len() as f64);
        drop(waiting);
        arrived.notify_one();
        Ok(receiver)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.waiting().closed = true;
        self.shared.arrived.notify_all();
    }
}
