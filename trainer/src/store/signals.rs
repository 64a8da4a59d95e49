//! Wakes the watchers of a job when it has new events. Carries only the newest sequence number; what
//! happened is read from the database, so that a slow watcher costs no memory.

use crate::job::JobId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};
use tokio::sync::watch;

/// One channel per job that is watched.
#[derive(Default)]
pub struct Signals {
    channels: Mutex<HashMap<JobId, watch::Sender<u64>>>,
}

impl Signals {
    /// A receiver that changes whenever `job` has new events. Subscribe before reading, not after.
    #[must_use]
    pub fn subscribe(&self, job: JobId) -> watch::Receiver<u64> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        // Watchers that went away leave their channel behind until here or the next event.
        channels.retain(|_, sender| sender.receiver_count() > 0);
        channels
            .entry(job)
            .or_insert_with(|| watch::channel(0).0)
            .subscribe()
    }

    /// Tells that the events of `job` now go up to `sequence`.
    pub fn announce(&self, job: JobId, sequence: u64) {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = channels.get(&job) {
            sender.send_modify(|newest| *newest = sequence.max(*newest));
        }
    }
}
