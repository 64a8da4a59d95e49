//! What waits in the batch queue, and what its submitters and workers share.

use super::fair::{FairOrder, Weight};
use crate::{
    metrics::{FailureReason, QueueMetrics, RoleMetrics},
    model::LoadedModel,
    predict::pixels::Pixels,
};
use digits_server::ClientKey;
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::sync::oneshot;

/// Images of one request, for one model.
pub struct WorkItem {
    /// The model that computes them.
    pub checkpoint: Arc<LoadedModel>,
    /// Receives the wait and the compute time.
    pub metrics: Arc<RoleMetrics>,
    /// The images.
    pub pixels: Pixels,
    /// When the client stops waiting.
    pub deadline: Option<Instant>,
    /// The client, which shares the workers with the others.
    pub client: ClientKey,
}

impl WorkItem {
    pub(super) fn images(&self) -> usize {
        self.pixels.len() / self.checkpoint.network.inputs()
    }

    pub(super) fn weight(&self) -> Weight {
        let images = self.images() as u64;
        Weight {
            client: self.client,
            work: images.saturating_mul(self.checkpoint.network.multiply_adds() as u64),
            bytes: self.pixels.size_bytes(),
        }
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|at| at <= Instant::now())
    }
}

/// Errors of the batch queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The limits of the queue are reached.
    #[error("inference queue is full")]
    Full,
    /// The deadline passed before a worker was free.
    #[error("deadline exceeded before the request was processed")]
    Overdue,
    /// The engine panicked.
    #[error("the engine panicked")]
    EngineFailed,
}

impl From<QueueError> for FailureReason {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Full => Self::Full,
            QueueError::Overdue => Self::Overdue,
            QueueError::EngineFailed => Self::Failed,
        }
    }
}

pub(super) type Response = Result<Vec<f32>, QueueError>;

/// An item that waits.
pub(super) struct Queued {
    pub(super) item: WorkItem,
    pub(super) since: Instant,
    /// Its place in the order.
    pub(super) start: u64,
    /// Closed when the request was cancelled.
    pub(super) response: oneshot::Sender<Response>,
}

#[derive(Default)]
pub(super) struct Waiting {
    /// In the order in which they are computed.
    pub(super) items: VecDeque<Queued>,
    pub(super) bytes: usize,
    pub(super) order: FairOrder,
    /// No item comes any more: workers end when nothing waits.
    pub(super) is_closed: bool,
}

pub struct Shared {
    waiting: Mutex<Waiting>,
    pub(super) arrived: Condvar,
    pub(super) metrics: QueueMetrics,
}

impl Waiting {
    /// Takes the item at `index`.
    pub(super) fn take(&mut self, index: usize) -> Option<Queued> {
        let queued = self.items.remove(index)?;
        let weight = queued.item.weight();
        self.bytes -= weight.bytes;
        self.order.take(weight, queued.start);
        Some(queued)
    }
}

impl Shared {
    pub(super) fn new(metrics: QueueMetrics, capacity: usize) -> Self {
        let waiting = Waiting {
            items: VecDeque::with_capacity(capacity),
            ..Waiting::default()
        };
        Self {
            waiting: Mutex::new(waiting),
            arrived: Condvar::new(),
            metrics,
        }
    }

    /// Locked for moments only.
    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
