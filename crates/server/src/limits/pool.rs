//! A bounded amount that clients share.
//!
//! A client may take more only while what it holds is less than a multiple of what is free
//! (dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998). So one
//! client gets almost all where nobody else wants it, several get the same, and something is
//! always left for the next one.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What a client holds is less than this many times what is free: one client gets seven of eight.
const GREED: usize = 7;

/// The amount, of which `used` is taken.
#[derive(Debug)]
pub(crate) struct Pool {
    used: AtomicUsize,
    max: usize,
}

/// What one client has taken of a pool.
#[derive(Debug, Default)]
pub(crate) struct Share(AtomicUsize);

impl Pool {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            max,
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Takes `amount` for the client with `share`; returns whether it may have it. Without a share
    /// only the whole is bounded.
    pub(crate) fn take(&self, share: Option<&Share>, amount: usize) -> bool {
        let own = share.map_or(0, |share| share.0.fetch_add(amount, Relaxed));
        let used = self.used.fetch_add(amount, Relaxed);
        let free = self.max.saturating_sub(used);
        if amount <= free && own < free.saturating_mul(GREED) {
            return true;
        }
        self.give_back(share, amount);
        false
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&self, share: Option<&Share>, amount: usize) {
        if let Some(share) = share {
            share.0.fetch_sub(amount, Relaxed);
        }
        self.used.fetch_sub(amount, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes turns until no client gets any more; returns what each got.
    fn fill(max: usize, clients: usize) -> Vec<usize> {
        let pool = Pool::new(max);
        let shares: Vec<_> = (0..clients).map(|_| Share::default()).collect();
        while shares.iter().any(|share| pool.take(Some(share), 1)) {}
        let got: Vec<_> = shares.iter().map(|it| it.0.load(Relaxed)).collect();
        assert_eq!(pool.used(), got.iter().sum::<usize>());
        got
    }

    #[test]
    fn one_client_leaves_an_eighth_and_a_single_place_is_taken() {
        for (max, expected) in [(1024, 896), (8, 7), (2, 2), (1, 1), (0, 0)] {
            assert_eq!(fill(max, 1), [expected], "{max}");
        }
    }

    #[test]
    fn a_newcomer_gets_a_place_whatever_others_hold() {
        let pool = Pool::new(1024);
        let greedy: [Share; 3] = Default::default();
        for share in &greedy {
            while pool.take(Some(share), 1) {}
        }
        let newcomer = Share::default();
        assert!(pool.take(Some(&newcomer), 1), "{pool:?}");
        // The greedy ones get nothing of what is left, and what is given back is there again.
        assert!(!greedy.iter().any(|share| pool.take(Some(share), 1)));
        let used = pool.used();
        pool.give_back(Some(&newcomer), 1);
        assert_eq!(pool.used(), used - 1);
    }
}
