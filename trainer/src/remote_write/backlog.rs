//! A bounded queue of batches that wait to be pushed, oldest first. Batches that are too old or
//! failed too often are dropped.

use super::{client::PushOutcome, points::Batch};
use crate::metrics::DropReason as Reason;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Maximum number of queued points; about 3 MB.
pub(super) const POINTS_AT_MOST: usize = 50_000;
/// Maximum age of a batch: shorter than the out-of-order window in `deploy/prometheus`, after which
/// Prometheus refuses samples.
const AGE_AT_MOST: Duration = Duration::from_secs(25 * 60);
/// Maximum number of errors per batch. An error may be permanent: Prometheus answers 500 to a
/// sample that is too old.
const ERRORS_AT_MOST: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// Batches in the order in which they are pushed.
#[derive(Default)]
pub(super) struct Backlog {
    batches: VecDeque<(Instant, Batch)>,
    points: usize,
    /// Error responses to the oldest batch.
    errors: u32,
    /// Consecutive failed attempts, for any reason.
    failures: u32,
    not_before: Option<Instant>,
}

impl Backlog {
    /// Appends a batch; returns the batches that were dropped to make room.
    pub(super) fn push(&mut self, batch: Batch, now: Instant) -> Vec<Batch> {
        self.points += batch.points.len();
        self.batches.push_back((now, batch));
        let mut dropped = Vec::new();
        while self.points > POINTS_AT_MOST && self.batches.len() > 1 {
            dropped.extend(self.pop());
        }
        dropped
    }

    /// Number of queued samples.
    pub(super) fn samples(&self) -> u64 {
        self.batches.iter().map(|(_, batch)| batch.samples()).sum()
    }

    pub(super) fn oldest(&self) -> Option<&Batch> {
        self.batches.front().map(|(_, batch)| batch)
    }

    /// Time until the next attempt to push the oldest batch.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        let until = self.not_before.unwrap_or(now);
        until.saturating_duration_since(now)
    }

    /// Records the outcome of pushing the oldest batch. Returns the batch and the reason if it is
    /// dropped.
    pub(super) fn tried(&mut self, outcome: &PushOutcome, now: Instant) -> Option<(Batch, Reason)> {
        match outcome {
            PushOutcome::Pushed => {
                self.pop();
                self.failures = 0;
                None
            }
            PushOutcome::Refused(_) => {
                self.failures = 0;
                self.drop_oldest(Reason::Refused)
            }
            PushOutcome::Error(_) => {
                self.errors += 1;
                self.wait(now);
                if self.errors >= ERRORS_AT_MOST {
                    return self.drop_oldest(Reason::Failed);
                }
                self.expire(now)
            }
            PushOutcome::Unreachable(_) => {
                self.wait(now);
                self.expire(now)
            }
        }
    }

    /// Drops the oldest batch.
    pub(super) fn drop_oldest(&mut self, reason: Reason) -> Option<(Batch, Reason)> {
        self.pop().map(|batch| (batch, reason))
    }

    fn expire(&mut self, now: Instant) -> Option<(Batch, Reason)> {
        let (since, _) = self.batches.front()?;
        let old = now.saturating_duration_since(*since) > AGE_AT_MOST;
        old.then(|| self.drop_oldest(Reason::Expired)).flatten()
    }

    fn wait(&mut self, now: Instant) {
        let pause = FIRST_PAUSE * 2_u32.pow(self.failures.min(10));
        self.failures += 1;
        self.not_before = Some(now + pause.min(LAST_PAUSE));
    }

    fn pop(&mut self) -> Option<Batch> {
        let (_, batch) = self.batches.pop_front()?;
        self.points -= batch.points.len();
        self.errors = 0;
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::points::{Pending, Point, row},
        *,
    };
    use crate::job::JobId;

    fn batch(points: usize) -> Batch {
        let mut pending = Pending::new(JobId::generate());
        for step in 0..points {
            pending.add(Point::from(&row(1_000, step as u64)));
        }
        pending.take().expect("points")
    }

    #[test]
    fn the_oldest_batch_is_dropped_to_make_room() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        let first = batch(POINTS_AT_MOST - 10);
        assert!(backlog.push(first.clone(), now).is_empty());
        assert!(backlog.push(batch(10), now).is_empty());
        assert_eq!(backlog.push(batch(1), now), [first]);
        assert_eq!(backlog.samples(), 11 * 6);
    }

    #[test]
    fn errors_are_bounded_by_count_and_do_not_cost_the_next_batch_its_attempts() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.push(batch(1), now);
        backlog.push(batch(2), now);
        let error = PushOutcome::Error("500".to_owned());
        for _ in 1..ERRORS_AT_MOST {
            assert_eq!(backlog.tried(&error, now), None);
        }
        let (dropped, reason) = backlog.tried(&error, now).expect("dropped");
        assert_eq!((dropped.points.len(), reason), (1, Reason::Failed));
        assert_eq!(backlog.tried(&error, now), None);
        assert_eq!(backlog.tried(&PushOutcome::Pushed, now), None);
        assert_eq!(backlog.samples(), 0);
    }

    #[test]
    fn an_unreachable_receiver_is_retried_until_the_samples_are_too_old() {
        let (mut backlog, begin) = (Backlog::default(), Instant::now());
        backlog.push(batch(1), begin);
        let unreachable = PushOutcome::Unreachable("refused".to_owned());
        let mut now = begin;
        let mut attempts = 0;
        let reason = loop {
            if let Some((_, reason)) = backlog.tried(&unreachable, now) {
                break reason;
            }
            let pause = backlog.pause(now);
            assert!(pause >= FIRST_PAUSE && pause <= LAST_PAUSE, "{pause:?}");
            now += pause;
            attempts += 1;
        };
        assert_eq!(reason, Reason::Expired);
        assert!(now - begin > AGE_AT_MOST, "{:?}", now - begin);
        assert!(attempts > 100, "{attempts}");
    }

    #[test]
    fn a_refusal_is_dropped_at_once() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.push(batch(3), now);
        let refused = backlog.tried(&PushOutcome::Refused("400".to_owned()), now);
        assert_eq!(refused.map(|(_, reason)| reason), Some(Reason::Refused));
        assert!(backlog.oldest().is_none());
        assert_eq!(backlog.pause(now), Duration::ZERO);
    }
}
