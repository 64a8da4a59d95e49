//! Batches that wait for their push, oldest first and bounded; what is too old or was tried too often goes.

use super::{client::Verdict, points::Batch};
use crate::metrics::DropReason as Reason;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Points that wait, at most; about 3 MB.
pub(super) const POINTS_AT_MOST: usize = 50_000;
/// Less than the out-of-order window of our configuration, after which Prometheus would refuse it anyway.
const AGE_AT_MOST: Duration = Duration::from_secs(25 * 60);
/// An error of the receiver may be for ever: Prometheus answers 500 to a sample that is too old.
const ERRORS_AT_MOST: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// Batches in the order in which they are pushed.
#[derive(Default)]
pub(super) struct Backlog {
    batches: VecDeque<(Instant, Batch)>,
    points: usize,
    /// Of the oldest batch: answers that were errors.
    errors: u32,
    /// Attempts that failed one after another, for whatever reason.
    failures: u32,
    not_before: Option<Instant>,
}

impl Backlog {
    /// Appends a batch; returns those that have to make room.
    pub(super) fn push(&mut self, batch: Batch, now: Instant) -> Vec<Batch> {
        self.points += batch.points.len();
        self.batches.push_back((now, batch));
        let mut dropped = Vec::new();
        while self.points > POINTS_AT_MOST && self.batches.len() > 1 {
            dropped.extend(self.pop());
        }
        dropped
    }

    /// Samples that wait.
    pub(super) fn samples(&self) -> u64 {
        self.batches.iter().map(|(_, batch)| batch.samples()).sum()
    }

    pub(super) fn oldest(&self) -> Option<&Batch> {
        self.batches.front().map(|(_, batch)| batch)
    }

    /// How long the oldest batch has still to wait for its next attempt.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        let until = self.not_before.unwrap_or(now);
        until.saturating_duration_since(now)
    }

    /// Takes note of what became of the oldest batch; returns it, and why it is dropped, when it is.
    pub(super) fn tried(&mut self, verdict: &Verdict, now: Instant) -> Option<(Batch, Reason)> {
        match verdict {
            Verdict::Pushed => {
                self.pop();
                self.failures = 0;
                None
            }
            Verdict::Refused(_) => {
                self.failures = 0;
                self.drop_oldest(Reason::Refused)
            }
            Verdict::Error(_) => {
                self.errors += 1;
                self.wait(now);
                if self.errors >= ERRORS_AT_MOST {
                    return self.drop_oldest(Reason::Failed);
                }
                self.expire(now)
            }
            Verdict::Unreachable(_) => {
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
    fn room_is_made_by_the_oldest() {
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
        let error = Verdict::Error("500".to_owned());
        for _ in 1..ERRORS_AT_MOST {
            assert_eq!(backlog.tried(&error, now), None);
        }
        let (dropped, reason) = backlog.tried(&error, now).expect("dropped");
        assert_eq!((dropped.points.len(), reason), (1, Reason::Failed));
        assert_eq!(backlog.tried(&error, now), None);
        assert_eq!(backlog.tried(&Verdict::Pushed, now), None);
        assert_eq!(backlog.samples(), 0);
    }

    #[test]
    fn who_is_not_there_is_waited_for_until_the_samples_are_too_old() {
        let (mut backlog, begin) = (Backlog::default(), Instant::now());
        backlog.push(batch(1), begin);
        let nobody = Verdict::Unreachable("refused".to_owned());
        let mut now = begin;
        let mut attempts = 0;
        let reason = loop {
            if let Some((_, reason)) = backlog.tried(&nobody, now) {
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
        let refused = backlog.tried(&Verdict::Refused("400".to_owned()), now);
        assert_eq!(refused.map(|(_, reason)| reason), Some(Reason::Refused));
        assert!(backlog.oldest().is_none());
        assert_eq!(backlog.pause(now), Duration::ZERO);
    }
}
