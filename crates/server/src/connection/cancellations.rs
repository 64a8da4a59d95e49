//! How many requests a client may cancel: enough for hedging, not for a rapid reset.
//!
//! HTTP/2 limits the streams that are open at one time. A client that resets each stream at once
//! gets around this limit and makes the server begin requests without end (CVE-2023-44487). Unlike a
//! client that cancels for good reasons, such as hedging, it gets no answers.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Cancelled requests of a connection that never gets an answer.
const BURST: u32 = 4096;
/// An answered request pays for this many cancelled ones.
const PER_ANSWER: u32 = 512;
/// Each of these intervals pays for one cancelled request: the calls of a server that never wins
/// against its replicas.
const REFILL: Duration = Duration::from_millis(1);

/// The budget is exhausted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

/// The budget of one connection.
#[derive(Debug)]
pub(super) struct CancellationBudget {
    spent: AtomicU32,
    refilled: Mutex<Instant>,
}

impl CancellationBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            spent: AtomicU32::new(0),
            refilled: Mutex::new(now),
        }
    }

    /// Pays for cancelled requests with an answered one.
    pub(super) fn refund_answer(&self) {
        // Most connections never cancel.
        if self.spent.load(Relaxed) > 0 {
            self.refund(PER_ANSWER);
        }
    }

    /// Charges a request that was cancelled at `now`.
    pub(super) fn charge(&self, now: Instant) -> Result<(), Exhausted> {
        let mut refilled = self.refilled.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(*refilled);
        let earned = u32::try_from(elapsed.as_nanos() / REFILL.as_nanos()).unwrap_or(u32::MAX);
        if earned > 0 {
            *refilled = now;
            self.refund(earned);
        }
        if self.spent.fetch_add(1, Relaxed) < BURST {
            Ok(())
        } else {
            Err(Exhausted)
        }
    }

    fn refund(&self, requests: u32) {
        // The closure never returns `None`.
        let _ = self.spent.fetch_update(Relaxed, Relaxed, |spent| {
            Some(spent.saturating_sub(requests))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_without_answers_has_one_burst() {
        let now = Instant::now();
        let budget = CancellationBudget::new(now);
        for _ in 0..BURST {
            assert_eq!(budget.charge(now), Ok(()));
        }
        assert_eq!(budget.charge(now), Err(Exhausted));
    }

    #[test]
    fn answers_and_time_pay_for_cancelled_requests() {
        let mut now = Instant::now();
        let budget = CancellationBudget::new(now);
        // A client that hedges: of each 257 calls one is answered.
        for _ in 0..10 * BURST {
            for _ in 0..256 {
                assert_eq!(budget.charge(now), Ok(()));
            }
            budget.refund_answer();
        }
        // A server whose answers always come too late.
        for _ in 0..10 * BURST {
            now += 2 * REFILL;
            assert_eq!(budget.charge(now), Ok(()));
            assert_eq!(budget.charge(now), Ok(()));
        }
    }
}
