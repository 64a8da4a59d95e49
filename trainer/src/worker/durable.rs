//! How much of what a training told is durable. A bundle must not get ahead of it: a training that goes on from
//! one tells nothing again that came before.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Rows in the database and snapshots on the storage, counted.
#[derive(Debug, Default)]
pub(super) struct Durable {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    rows: u64,
    snapshots: u64,
    over: bool,
}

impl Durable {
    /// So many more rows are in the database.
    pub(super) fn rows(&self, count: usize) {
        self.change(|counts| counts.rows += count as u64);
    }

    /// One more snapshot is dealt with.
    pub(super) fn snapshot(&self) {
        self.change(|counts| counts.snapshots += 1);
    }

    /// Nothing more will come.
    pub(super) fn over(&self) {
        self.change(|counts| counts.over = true);
    }

    /// Waits for as many rows and snapshots; whether they came.
    pub(super) fn wait(&self, rows: u64, snapshots: u64) -> bool {
        let there = |counts: &Counts| counts.rows >= rows && counts.snapshots >= snapshots;
        let waiting = |counts: &mut Counts| !there(counts) && !counts.over;
        let counts = self
            .changed
            .wait_while(self.lock(), waiting)
            .unwrap_or_else(PoisonError::into_inner);
        there(&counts)
    }

    fn change(&self, how: impl FnOnce(&mut Counts)) {
        how(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_waited_for_and_what_never_comes_is_told() {
        let durable = Durable::default();
        assert!(durable.wait(0, 0));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| durable.wait(3, 1));
            durable.rows(2);
            durable.snapshot();
            durable.rows(1);
            assert!(waiter.join().expect("no panic"));
            let waiter = scope.spawn(|| durable.wait(4, 1));
            durable.over();
            assert!(!waiter.join().expect("no panic"));
        });
        assert!(durable.wait(3, 1), "what was there stays");
    }
}
