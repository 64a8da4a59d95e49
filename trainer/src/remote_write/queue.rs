//! The bounded queue of points between the training jobs and the push thread, oldest first.

use super::points::{Batch, Labels, Point};
use crate::metrics::{DropReason, PushMetrics};
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Maximum number of queued points; about 4 MB.
const MAX_POINTS: usize = 50_000;
/// Maximum number of points per batch.
const MAX_BATCH: usize = 2_000;
/// Time for which points are collected before they are pushed, unless their job ends.
const INTERVAL: Duration = Duration::from_millis(500);
/// Time to push the remaining points at shutdown, plus one attempt.
const MAX_CLOSING: Duration = Duration::from_secs(3);

/// The queue, with the metrics of what waits in it. Only [`Self::next`] and [`Self::sleep`] wait.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    metrics: PushMetrics,
}

#[derive(Default)]
struct State {
    points: VecDeque<Queued>,
    /// Samples that wait, with those of the batch that the push thread holds.
    waiting: u64,
    /// Once the queue closes: when pushing stops.
    deadline: Option<Instant>,
}

struct Queued {
    since: Instant,
    labels: Arc<Labels>,
    point: Point,
}

impl Queue {
    pub(super) fn new(metrics: PushMetrics) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            metrics,
        }
    }

    /// Appends points of a job, oldest first. A full queue drops its oldest points.
    pub(super) fn push(&self, labels: &Arc<Labels>, points: impl Iterator<Item = Point>) {
        let (mut state, since) = (self.lock(), Instant::now());
        for point in points {
            state.waiting += point.samples();
            state.points.push_back(Queued {
                since,
                labels: Arc::clone(labels),
                point,
            });
        }
        let surplus = state.points.len().saturating_sub(MAX_POINTS);
        let dropped = state.points.drain(..surplus);
        let dropped = dropped.map(|queued| queued.point.samples()).sum();
        self.metrics.dropped(DropReason::BacklogFull, dropped);
        self.leave(&mut state, dropped);
        self.changed.notify_all();
    }

    /// The next batch, once its points have been collected; `None` when the queue is closing and
    /// empty.
    pub(super) fn next(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            match state.until_due(Instant::now()) {
                Some(Duration::ZERO) => break,
                Some(wait) => state = self.wait(state, wait),
                None if state.deadline.is_some() => break,
                None => {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
        state.take()
    }

    /// The receiver accepted a batch of [`Self::next`].
    pub(super) fn pushed(&self, batch: &Batch) {
        self.metrics.pushed(batch.samples());
        self.leave(&mut self.lock(), batch.samples());
    }

    /// A batch of [`Self::next`] is dropped.
    pub(super) fn dropped(&self, batch: &Batch, reason: DropReason) {
        self.metrics.dropped(reason, batch.samples());
        self.leave(&mut self.lock(), batch.samples());
    }

    /// Waits, but not beyond the end of closing. Returns whether there is time for an attempt.
    pub(super) fn sleep(&self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if state.deadline.is_some_and(|deadline| deadline <= now) {
                return false;
            }
            let until = state.deadline.map_or(end, |deadline| deadline.min(end));
            if end <= now {
                return true;
            }
            state = self.wait(state, until - now);
        }
    }

    /// Makes the push thread end, once it has pushed what it can in [`MAX_CLOSING`].
    pub(super) fn close(&self) {
        self.lock().deadline = Some(Instant::now() + MAX_CLOSING);
        self.changed.notify_all();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().deadline.is_some()
    }

    fn leave(&self, state: &mut State, samples: u64) {
        state.waiting -= samples;
        self.metrics.waiting(state.waiting);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, wait: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, wait);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl State {
    /// Time until a batch is to be pushed; `None` when nothing is queued.
    fn until_due(&self, now: Instant) -> Option<Duration> {
        let oldest = self.points.front()?;
        let at_once = self.deadline.is_some()
            || self.points.len() >= MAX_BATCH
            || self
                .points
                .back()
                .is_some_and(|newest| newest.point.is_end());
        let age = now.saturating_duration_since(oldest.since);
        Some(if at_once {
            Duration::ZERO
        } else {
            INTERVAL.saturating_sub(age)
        })
    }

    /// Takes the points of the job whose point is the oldest.
    fn take(&mut self) -> Option<Batch> {
        let Queued { since, labels, .. } = self.points.front()?;
        let (since, labels) = (*since, Arc::clone(labels));
        let (mut points, mut others) = (Vec::new(), VecDeque::new());
        for queued in self.points.drain(..) {
            if points.len() < MAX_BATCH && queued.labels.job == labels.job {
                points.push(queued.point);
            } else {
                others.push_back(queued);
            }
        }
        self.points = others;
        Some(Batch {
            labels,
            points,
            since,
        })
    }
}
