//! A worker: takes items that can be computed together, computes them, and sends the responses.

use super::waiting::{QueueError, Queued, Shared, Waiting};
use crate::predict::{logits, pixels::Pixels};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
    time::Instant,
};

/// Maximum number of images in a batch: with more, no image gets cheaper, and the first waits
/// longer.
const MAX_IMAGES: usize = 256;

/// Works until the queue is closed and empty.
pub fn run(shared: &Shared) {
    let mut batch = Batch::default();
    while batch.take(shared) {
        // Without the batch its requests see a closed channel; the worker continues.
        if catch_unwind(AssertUnwindSafe(|| batch.compute(shared))).is_err() {
            tracing::error!("the engine panicked on a batch; its requests failed with INTERNAL");
            batch = Batch::default();
        }
    }
}

/// Items that are computed together, and buffers that are kept from batch to batch.
#[derive(Default)]
struct Batch {
    items: Vec<Queued>,
    bytes: Vec<u8>,
    floats: Vec<f32>,
    logits: Vec<f32>,
}

impl Batch {
    /// Waits for an item and takes it with those that can be computed together with it; false when
    /// the queue is closed and empty.
    fn take(&mut self, shared: &Shared) -> bool {
        let mut waiting = shared.waiting();
        loop {
            self.fill(&mut waiting, shared);
            if !self.items.is_empty() {
                shared.metrics.requests.set(waiting.items.len() as f64);
                return true;
            }
            if waiting.is_closed {
                return false;
            }
            waiting = shared
                .arrived
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn fill(&mut self, waiting: &mut Waiting, shared: &Shared) {
        let (mut images, mut index) = (0, 0);
        while let Some(queued) = waiting.items.get(index) {
            let joins = match self.items.first() {
                None => true,
                Some(first) => {
                    images + queued.item.images() <= MAX_IMAGES && can_join(first, queued)
                }
            };
            if !joins {
                index += 1;
                continue;
            }
            let Some(queued) = waiting.take(index) else {
                break;
            };
            if let Some(queued) = still_wanted(queued, shared) {
                images += queued.item.images();
                self.items.push(queued);
            }
        }
    }

    fn compute(&mut self, shared: &Shared) {
        shared.metrics.batch.record(self.items.len() as f64);
        let start = Instant::now();
        for queued in &self.items {
            queued.item.metrics.waited(start - queued.since);
        }
        if self.items.len() == 1 {
            let queued = self.items.remove(0);
            return compute_alone(queued, shared);
        }
        self.compute_together();
        let elapsed = start.elapsed();
        let mut rest = self.logits.as_slice();
        for queued in self.items.drain(..) {
            let count = queued.item.images() * queued.item.checkpoint.network.classes();
            let (logits, others) = rest.split_at(count);
            rest = others;
            queued.item.metrics.computed(elapsed);
            // The request may have been cancelled meanwhile.
            let _ = queued.response.send(Ok(logits.to_vec()));
        }
    }

    /// Packs the images of all items and computes them at once.
    fn compute_together(&mut self) {
        let network = &self.items[0].item.checkpoint.network;
        self.bytes.clear();
        self.floats.clear();
        for queued in &self.items {
            match &queued.item.pixels {
                Pixels::Bytes(bytes) => self.bytes.extend_from_slice(bytes),
                Pixels::Floats(floats) => self.floats.extend_from_slice(floats),
            }
        }
        let images: usize = self.items.iter().map(|queued| queued.item.images()).sum();
        self.logits.clear();
        self.logits.resize(images * network.classes(), 0.0);
        match self.items[0].item.pixels {
            Pixels::Bytes(_) => network.logits(&self.bytes, &mut self.logits),
            Pixels::Floats(_) => network.logits(&self.floats, &mut self.logits),
        }
    }
}

/// Whether two items can be computed at once: by one loaded checkpoint, from pixels of one form.
/// Never by two checkpoints, even of one shape.
fn can_join(one: &Queued, other: &Queued) -> bool {
    Arc::ptr_eq(&one.item.checkpoint, &other.item.checkpoint)
        && matches!(
            (&one.item.pixels, &other.item.pixels),
            (Pixels::Bytes(_), Pixels::Bytes(_)) | (Pixels::Floats(_), Pixels::Floats(_))
        )
}

/// Drops and counts an item whose deadline has passed or whose request was cancelled.
fn still_wanted(queued: Queued, shared: &Shared) -> Option<Queued> {
    if queued.item.is_overdue() {
        shared.metrics.overdue.increment(1);
        // The request may have been cancelled.
        let _ = queued.response.send(Err(QueueError::Overdue));
        return None;
    }
    if queued.response.is_closed() {
        shared.metrics.abandoned.increment(1);
        return None;
    }
    Some(queued)
}

/// Computes one item, which may have many images: stops between slices when it is not wanted.
fn compute_alone(queued: Queued, shared: &Shared) {
    let Queued { item, response, .. } = queued;
    let start = Instant::now();
    let stop = || item.is_overdue() || response.is_closed();
    match logits::in_slices(&item.checkpoint.network, &item.pixels, stop) {
        Some(logits) => {
            item.metrics.computed(start.elapsed());
            // As above.
            let _ = response.send(Ok(logits));
        }
        None if item.is_overdue() => {
            shared.metrics.overdue.increment(1);
            let _ = response.send(Err(QueueError::Overdue));
        }
        None => shared.metrics.abandoned.increment(1),
    }
}
