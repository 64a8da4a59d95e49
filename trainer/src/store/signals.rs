//! Notifies the watchers of a job of new events, and one task of the ends of jobs. Carries only the
//! newest sequence number; the events are read from the database, so that a slow watcher costs no
//! memory.

use crate::job::JobId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};
use tokio::sync::{Notify, watch};

/// One channel per job that is watched, and one for the ends of all.
#[derive(Default)]
pub struct Signals {
    channels: Mutex<HashMap<JobId, watch::Sender<u64>>>,
    ended: Notify,
}

impl Signals {
    /// A receiver that changes whenever `job` has new events. Subscribe before reading, not after.
    #[must_use]
    pub fn subscribe(&self, job: JobId) -> watch::Receiver<u64> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        // Channels without watchers are removed here.
        channels.retain(|_, sender| sender.receiver_count() > 0);
        channels
            .entry(job)
            .or_insert_with(|| watch::channel(0).0)
            .subscribe()
    }

    /// Waits until a job has ended since the last call. For one task.
    pub async fn job_ended(&self) {
        self.ended.notified().await;
    }

    /// Notifies that task.
    pub fn announce_end(&self) {
        self.ended.notify_one();
    }

    /// Notifies the watchers that `job` has events up to `sequence`.
    pub fn announce(&self, job: JobId, sequence: u64) {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = channels.get(&job) {
            sender.send_modify(|newest| *newest = sequence.max(*newest));
        }
    }
}
