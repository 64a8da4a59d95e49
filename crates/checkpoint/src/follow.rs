//! Follows a serving log, cheaply enough to poll several times a second.
//!
//! Reports the newest record, not whether it can be served: a reader that cannot verify the head
//! keeps what it serves, or, while nothing serves yet, goes back through [`crate::serving::list`].

use crate::{
    id::ModelName,
    keys,
    record::ServingRecord,
    serving,
    storage::{Storage, StorageError},
};
use std::time::Duration;
use tokio::time::Instant;

/// Interval of listings; in between only the next number is read.
const LIST_INTERVAL: Duration = Duration::from_secs(5);
/// Most records that a poll steps over, so that it ends.
const STEPS_PER_POLL: usize = 1024;

/// Follows the serving log of a model.
#[derive(Debug)]
pub struct Follower {
    storage: Storage,
    model: ModelName,
    list_interval: Duration,
    listed: Option<Instant>,
    /// The newest record that is known to exist.
    head: u64,
    /// The newest record that `poll` has returned.
    reported: u64,
}

impl Follower {
    /// A follower at the start of the log.
    #[must_use]
    pub fn new(storage: Storage, model: ModelName) -> Self {
        Self {
            storage,
            model,
            list_interval: LIST_INTERVAL,
            listed: None,
            head: 0,
            reported: 0,
        }
    }

    /// Lists the log every `interval` instead of every five seconds.
    #[must_use]
    pub fn with_list_interval(mut self, interval: Duration) -> Self {
        self.list_interval = interval;
        self
    }

    /// The newest record, if it is newer than the one returned last.
    ///
    /// Reads the next number, and lists the log at the first call and every few seconds, because an
    /// NFS client may cache the absence of a name. Cancel-safe: the next poll returns what a
    /// dropped one would have.
    ///
    /// # Errors
    /// [`StorageError::Unreadable`] or [`StorageError::TooLarge`], once, when the newest record
    /// cannot be understood; [`StorageError::Missing`] when it is listed but not found yet; else
    /// the store's error. After any error, poll again.
    pub async fn poll(&mut self) -> Result<Option<ServingRecord>, StorageError> {
        if self
            .listed
            .is_none_or(|at| at.elapsed() >= self.list_interval)
        {
            let newest = serving::newest_after(&self.storage, &self.model, self.head).await?;
            self.head = newest.unwrap_or(self.head);
            self.listed = Some(Instant::now());
        }
        let mut newest = self.step_forward().await?;
        if self.head == self.reported {
            return Ok(None);
        }
        if newest.is_none() {
            newest = match serving::record(&self.storage, &self.model, self.head).await {
                Err(error) if error.is_unreadable() => {
                    self.reported = self.head;
                    return Err(error);
                }
                other => other?,
            };
        }
        let record = newest.ok_or_else(|| StorageError::Missing {
            key: keys::record(&self.model, self.head),
        })?;
        self.reported = self.head;
        Ok(Some(record))
    }

    /// Steps forward to the last number that follows without a gap. Returns its record, if there
    /// was a step and the record is readable.
    async fn step_forward(&mut self) -> Result<Option<ServingRecord>, StorageError> {
        let mut newest = None;
        for _ in 0..STEPS_PER_POLL {
            let Some(next) = self.head.checked_add(1) else {
                break;
            };
            newest = match serving::record(&self.storage, &self.model, next).await {
                Ok(Some(record)) => Some(record),
                Ok(None) => break,
                Err(error) if error.is_unreadable() => None,
                Err(error) => return Err(error),
            };
            self.head = next;
        }
        Ok(newest)
    }

    /// Sequence of the newest record that is known to exist, readable or not; 0 for none.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }
}
