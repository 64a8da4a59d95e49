//! Requests for newer keys of an issuer. A token by an unknown key may be by a new one, so its
//! request waits while the keys are fetched; but a client must not cause fetches without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

/// Requests that wait for keys at most.
const MAX_WAITING: usize = 64;
/// Longest time that a request waits.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// What the requests of a port and the task that fetches the keys know of each other.
pub(in super::super) struct KeyRequests {
    /// Whether the keys are fetched at once when somebody asks.
    is_open: AtomicBool,
    wanted: Notify,
    fetches: watch::Sender<u64>,
    places: Arc<Semaphore>,
}

/// Keys that are being fetched.
#[derive(Debug)]
pub(crate) struct PendingKeys {
    fetches: watch::Receiver<u64>,
    _place: OwnedSemaphorePermit,
}

impl Default for KeyRequests {
    /// Before the first fetch.
    fn default() -> Self {
        Self {
            is_open: AtomicBool::new(true),
            wanted: Notify::new(),
            fetches: watch::Sender::new(0),
            places: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }
}

impl KeyRequests {
    /// Asks for newer keys; `None` when they were fetched a moment ago, or too many requests wait.
    pub(in super::super) fn ask(&self) -> Option<PendingKeys> {
        let fetches = self.fetches.subscribe();
        if !self.is_open.load(SeqCst) {
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        self.wanted.notify_one();
        Some(PendingKeys {
            fetches,
            _place: place,
        })
    }

    /// Waits until somebody asks, for at most `limit`.
    pub(in super::super) async fn wait(&self, limit: Duration) {
        self.is_open.store(true, SeqCst);
        let _ = timeout(limit, self.wanted.notified()).await;
    }

    /// Ends the waits: a fetch has ended, and the next one is due later.
    pub(in super::super) fn fetched(&self) {
        self.is_open.store(false, SeqCst);
        self.fetches.send_modify(|fetches| *fetches += 1);
    }
}

impl PendingKeys {
    /// Waits until the fetch has ended, for at most 5 s.
    pub(crate) async fn fetched(mut self) {
        let _ = timeout(MAX_WAIT, self.fetches.changed()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_wait_for_a_fetch_and_are_bounded() {
        let requests = KeyRequests::default();
        let pending: Vec<_> = std::iter::from_fn(|| requests.ask()).collect();
        assert_eq!(pending.len(), MAX_WAITING);
        requests.wait(Duration::from_secs(60)).await;
        requests.fetched();
        for one in pending {
            one.fetched().await;
        }
        // It was fetched a moment ago.
        assert!(requests.ask().is_none());
        tokio::join!(requests.wait(Duration::from_secs(60)), async {
            assert!(requests.ask().is_some());
        });
    }
}
