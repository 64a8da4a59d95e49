//! Counts and durations of a model's requests since the process started, which `ModelStatistics`
//! returns. The metrics have them too, but cannot be read back.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Number of events and their total duration.
#[derive(Debug, Default)]
pub struct Total {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Total {
    fn add(&self, duration: Duration) {
        self.count.fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(nanoseconds(duration), Relaxed);
    }

    /// The number of events.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// Their total duration.
    #[must_use]
    pub fn nanoseconds(&self) -> u64 {
        self.nanoseconds.load(Relaxed)
    }
}

/// Statistics of the requests to one model, over all of its versions.
#[derive(Debug)]
pub struct Statistics {
    started: Instant,
    /// Requests that were answered.
    pub answered: Total,
    /// Requests that failed after they were decoded.
    pub failed: Total,
    /// Waits in the queue.
    pub queue: Total,
    /// The network alone, per request; of the whole batch if the request was batched.
    pub compute: Total,
    images: AtomicU64,
    /// Nanoseconds from `started` to the last answer; 0 if there was none.
    newest: AtomicU64,
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            answered: Total::default(),
            failed: Total::default(),
            queue: Total::default(),
            compute: Total::default(),
            images: AtomicU64::default(),
            newest: AtomicU64::default(),
        }
    }
}

impl Statistics {
    /// A request for `images` images was answered at `now`, after `duration`.
    pub fn answered(&self, images: usize, now: Instant, duration: Duration) {
        self.answered.add(duration);
        self.images.fetch_add(images as u64, Relaxed);
        let newest = now.saturating_duration_since(self.started);
        self.newest.store(nanoseconds(newest), Relaxed);
    }

    /// A request failed after `duration`.
    pub fn failed(&self, duration: Duration) {
        self.failed.add(duration);
    }

    /// A request waited in the queue.
    pub fn waited(&self, duration: Duration) {
        self.queue.add(duration);
    }

    /// The network computed a request.
    pub fn computed(&self, duration: Duration) {
        self.compute.add(duration);
    }

    /// Images that were classified.
    #[must_use]
    pub fn images(&self) -> u64 {
        self.images.load(Relaxed)
    }

    /// When the last request was answered, in milliseconds since 1970; 0 if none was.
    #[must_use]
    pub fn newest_milliseconds(&self) -> u64 {
        let newest = Duration::from_nanos(self.newest.load(Relaxed));
        if newest.is_zero() {
            return 0;
        }
        let ago = self.started.elapsed().saturating_sub(newest);
        let at = SystemTime::now().checked_sub(ago);
        let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        since.map_or(0, |since| since.as_millis() as u64)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
