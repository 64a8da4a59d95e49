//! The push thread: collects points by job, sends a batch every half second and at the end of a
//! job, and keeps batches that cannot be sent for a retry.

use super::{
    backlog::Backlog,
    client::{Client, PushOutcome},
    points::{Batch, Pending, Point, SERIES},
};
use crate::{
    job::{JobId, now_us},
    metrics::{DropReason, PushMetrics},
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

/// Interval between two batches of a job.
const INTERVAL: Duration = Duration::from_millis(500);
/// Maximum number of points per batch.
const BATCH_AT_MOST: usize = 2_000;
/// Time to push the remaining points at shutdown, plus one attempt.
const CLOSING_AT_MOST: Duration = Duration::from_secs(3);
/// A point further in the future than this means that the clock was set back.
const AHEAD_AT_MOST_MS: i64 = 2_000;

/// Messages to the push thread.
pub(super) enum Message {
    Point(JobId, Point),
    /// The job's curves end.
    End(JobId),
    /// Wakes the thread: state outside the queue changed.
    Wake,
}

pub(super) struct Sender {
    pub(super) client: Client,
    pub(super) metrics: PushMetrics,
    pub(super) messages: Receiver<Message>,
    pub(super) closing: Arc<AtomicBool>,
    pub(super) state: State,
}

/// State of the push thread.
pub(super) struct State {
    pending: HashMap<JobId, Pending>,
    backlog: Backlog,
    gathered: Instant,
    /// The last attempt failed and was logged.
    failing: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            pending: HashMap::new(),
            backlog: Backlog::default(),
            gathered: Instant::now(),
            failing: false,
        }
    }
}

impl Sender {
    /// Runs until it is closed or all senders are gone.
    pub(super) fn run(&mut self) {
        // Messages already in the queue are from a run that panicked, and may be its cause.
        let left = self.waiting_samples();
        if left > 0 {
            self.metrics.dropped(DropReason::Failed, left);
        }
        self.state = State::new();
        loop {
            let ended = self.listen();
            let closing = ended || self.closing.load(Ordering::Acquire);
            if closing || self.state.gathered.elapsed() >= INTERVAL {
                self.gather();
            }
            if closing {
                return self.close();
            }
            if !self.waits() {
                self.push_oldest();
            }
            self.count();
        }
    }

    /// Receives messages, waiting only while there is nothing to push. Returns whether all senders
    /// are gone.
    fn listen(&mut self) -> bool {
        let now = Instant::now();
        let for_points = INTERVAL.saturating_sub(self.state.gathered.elapsed());
        let wait = match self.state.backlog.oldest() {
            Some(oldest) => self.pause(oldest, now).min(for_points),
            None => for_points,
        };
        // A wait of zero with nothing to push would spin.
        let first = self
            .messages
            .recv_timeout(wait.max(Duration::from_millis(1)));
        match first {
            Ok(message) => self.take(message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return true,
        }
        while let Ok(message) = self.messages.try_recv() {
            self.take(message);
        }
        false
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Point(job, point) => {
                let pending = self
                    .state
                    .pending
                    .entry(job)
                    .or_insert_with(|| Pending::new(job));
                pending.add(point);
                if pending.len() >= BATCH_AT_MOST {
                    let batch = pending.take();
                    self.keep(batch);
                }
            }
            Message::End(job) => {
                let batch = self.state.pending.remove(&job).and_then(Pending::end);
                self.keep(batch);
            }
            Message::Wake => {}
        }
    }

    fn gather(&mut self) {
        self.state.gathered = Instant::now();
        let batches: Vec<Option<Batch>> =
            self.state.pending.values_mut().map(Pending::take).collect();
        batches.into_iter().for_each(|batch| self.keep(batch));
    }

    fn keep(&mut self, batch: Option<Batch>) {
        let Some(batch) = batch else { return };
        for dropped in self.state.backlog.push(batch, Instant::now()) {
            self.dropped(&dropped, DropReason::BacklogFull);
        }
    }

    /// Time until the oldest batch may be pushed: after a failure, or while it lies in the future.
    fn pause(&self, batch: &Batch, now: Instant) -> Duration {
        let ahead_ms = batch.latest_ms() - now_us().div_euclid(1_000);
        let ahead = Duration::from_millis(u64::try_from(ahead_ms).unwrap_or(0));
        self.state.backlog.pause(now).max(ahead)
    }

    fn waits(&mut self) -> bool {
        let Some(oldest) = self.state.backlog.oldest() else {
            return true;
        };
        if oldest.latest_ms() - now_us().div_euclid(1_000) > AHEAD_AT_MOST_MS {
            let dropped = self.state.backlog.drop_oldest(DropReason::Clock);
            self.note_drop(dropped, "they lie in the future: was the clock set back?");
            return true;
        }
        !self.pause(oldest, Instant::now()).is_zero()
    }

    fn push_oldest(&mut self) {
        let Some(batch) = self.state.backlog.oldest() else {
            return;
        };
        let (samples, outcome) = match batch.request().body() {
            Ok(body) => (batch.samples(), self.client.push(&body)),
            Err(error) => (batch.samples(), PushOutcome::Refused(error.to_string())),
        };
        match &outcome {
            PushOutcome::Pushed => {
                self.metrics.pushed(samples);
                if std::mem::take(&mut self.state.failing) {
                    tracing::info!("curves are pushed again");
                }
            }
            PushOutcome::Error(reason) | PushOutcome::Unreachable(reason) => {
                if !std::mem::replace(&mut self.state.failing, true) {
                    tracing::warn!(reason, "curves cannot be pushed; trying again");
                }
            }
            PushOutcome::Refused(_) => {}
        }
        let dropped = self.state.backlog.tried(&outcome, Instant::now());
        let reason = match &outcome {
            PushOutcome::Refused(reason)
            | PushOutcome::Error(reason)
            | PushOutcome::Unreachable(reason) => reason,
            PushOutcome::Pushed => "",
        };
        self.note_drop(dropped, reason);
    }

    fn note_drop(&self, dropped: Option<(Batch, DropReason)>, cause: &str) {
        if let Some((batch, reason)) = dropped {
            self.dropped(&batch, reason);
            tracing::warn!(job = %batch.job, points = batch.points.len(), reason = reason.as_str(), cause,
                "points of a curve are dropped");
        }
    }

    fn dropped(&self, batch: &Batch, reason: DropReason) {
        self.metrics.dropped(reason, batch.samples());
    }

    /// Pushes the remaining batches until the closing deadline.
    fn close(&mut self) {
        let jobs: Vec<JobId> = self.state.pending.keys().copied().collect();
        for job in jobs {
            self.take(Message::End(job));
        }
        let deadline = Instant::now() + CLOSING_AT_MOST;
        while self.state.backlog.oldest().is_some() && Instant::now() < deadline {
            if self.waits() {
                std::thread::sleep(Duration::from_millis(1));
            } else {
                self.push_oldest();
            }
        }
        while let Some((batch, reason)) = self.state.backlog.drop_oldest(DropReason::Shutdown) {
            self.dropped(&batch, reason);
        }
        self.count();
    }

    fn count(&self) {
        self.metrics.waiting(self.waiting_samples());
    }

    fn waiting_samples(&self) -> u64 {
        let pending: usize = self.state.pending.values().map(Pending::len).sum();
        (pending * SERIES.len()) as u64 + self.state.backlog.samples()
    }
}
