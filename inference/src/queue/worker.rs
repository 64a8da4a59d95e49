//! A worker: takes what can be computed together, computes it, and hands the answers out.

use super::{Job, QueueError, Shared, Waiting};
use crate::{logits, pixels::Pixels};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
    time::Instant,
};

/// Images that are computed together, at most: more of them are no quicker by the image, and the first would wait longer.
const MAX_IMAGES: usize = 256;

/// Works until the queue is closed and empty.
pub(super) fn work(shared: &Shared) {
    let mut batch = Batch::default();
    while batch.take(shared) {
        // What it held is lost, which its callers are told by their closed channels; the worker goes on.
        if catch_unwind(AssertUnwindSafe(|| batch.compute(shared))).is_err() {
            tracing::error!("the engine failed on a batch");
            batch = Batch::default();
        }
    }
}

/// Jobs that are computed together, and the room for them, which is kept.
#[derive(Default)]
struct Batch {
    jobs: Vec<Job>,
    bytes: Vec<u8>,
    floats: Vec<f32>,
    logits: Vec<f32>,
}

impl Batch {
    /// Waits for work and takes the first of it with what goes along; false when there will be none.
    fn take(&mut self, shared: &Shared) -> bool {
        let mut waiting = shared.waiting();
        loop {
            self.fill(&mut waiting, shared);
            if !self.jobs.is_empty() {
                shared.metrics.requests.set(waiting.jobs.len() as f64);
                return true;
            }
            if waiting.closed {
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
        while let Some(job) = waiting.jobs.get(index) {
            let goes_along = match self.jobs.first() {
                None => true,
                Some(first) => images + job.work.images() <= MAX_IMAGES && together(first, job),
            };
            if !goes_along {
                index += 1;
                continue;
            }
            let Some(job) = waiting.jobs.remove(index) else {
                break;
            };
            waiting.bytes -= job.work.pixels.size_bytes();
            if let Some(job) = wanted(job, shared) {
                images += job.work.images();
                self.jobs.push(job);
            }
        }
    }

    fn compute(&mut self, shared: &Shared) {
        shared.metrics.batch.record(self.jobs.len() as f64);
        let start = Instant::now();
        for job in &self.jobs {
            let wait = start - job.since;
            job.work.metrics.wait.record(wait.as_secs_f64());
        }
        if self.jobs.len() == 1 {
            let job = self.jobs.remove(0);
            return alone(job, shared);
        }
        self.compute_together();
        let seconds = start.elapsed().as_secs_f64();
        let mut rest = self.logits.as_slice();
        for job in self.jobs.drain(..) {
            let count = job.work.images() * job.work.checkpoint.network.classes();
            let (own, others) = rest.split_at(count);
            rest = others;
            job.work.metrics.compute.record(seconds);
            // The caller may have gone meanwhile.
            let _ = job.answer.send(Ok(own.to_vec()));
        }
    }

    /// Puts the images one after another and computes them at once.
    fn compute_together(&mut self) {
        let network = &self.jobs[0].work.checkpoint.network;
        self.bytes.clear();
        self.floats.clear();
        for job in &self.jobs {
            match &job.work.pixels {
                Pixels::Bytes(bytes) => self.bytes.extend_from_slice(bytes),
                Pixels::Floats(floats) => self.floats.extend_from_slice(floats),
            }
        }
        let images = self.jobs.iter().map(|job| job.work.images()).sum::<usize>();
        self.logits.clear();
        self.logits.resize(images * network.classes(), 0.0);
        match self.jobs[0].work.pixels {
            Pixels::Bytes(_) => network.logits(&self.bytes, &mut self.logits),
            Pixels::Floats(_) => network.logits(&self.floats, &mut self.logits),
        }
    }
}

/// Whether two can be computed at once: by one checkpoint, from pixels of one form. Never two checkpoints, even of one shape.
fn together(one: &Job, other: &Job) -> bool {
    Arc::ptr_eq(&one.work.checkpoint, &other.work.checkpoint)
        && matches!(
            (&one.work.pixels, &other.work.pixels),
            (Pixels::Bytes(_), Pixels::Bytes(_)) | (Pixels::Floats(_), Pixels::Floats(_))
        )
}

/// The job, unless there is no more use in it.
fn wanted(job: Job, shared: &Shared) -> Option<Job> {
    if job.work.is_overdue() {
        shared.metrics.overdue.increment(1);
        // The caller may have gone.
        let _ = job.answer.send(Err(QueueError::Overdue));
        return None;
    }
    if job.answer.is_closed() {
        shared.metrics.abandoned.increment(1);
        return None;
    }
    Some(job)
}

/// One job, which may be of many images: given up in between when nobody waits any more.
fn alone(job: Job, shared: &Shared) {
    let Job { work, answer, .. } = job;
    let start = Instant::now();
    let stop = || work.is_overdue() || answer.is_closed();
    match logits::in_slices(&work.checkpoint.network, &work.pixels, stop) {
        Some(logits) => {
            work.metrics.compute.record(start.elapsed().as_secs_f64());
            // As above.
            let _ = answer.send(Ok(logits));
        }
        None if work.is_overdue() => {
            shared.metrics.overdue.increment(1);
            let _ = answer.send(Err(QueueError::Overdue));
        }
        None => shared.metrics.abandoned.increment(1),
    }
}
