//! The reader's eye on a serving log: cheap enough to look several times a second.
//!
//! Says what is newest, not whether it can be served: a reader whose head does not verify keeps what it
//! serves, and with nothing serving yet it walks back by [`crate::serving::list`].

use crate::{
    id::ModelName,
    keys,
    record::ServingRecord,
    serving,
    storage::{Storage, StorageError},
};
use std::time::Duration;
use tokio::time::Instant;

/// How often the log is listed; between listings only the next number is looked for.
const LIST_INTERVAL: Duration = Duration::from_secs(5);
/// Records that one poll walks over, so that it ends.
const STEPS_PER_POLL: usize = 1024;

/// Follows the serving log of a model.
#[derive(Debug)]
pub struct Follower {
    storage: Storage,
    model: ModelName,
    list_interval: Duration,
    listed: Option<Instant>,
    /// The newest record that is known to be there.
    head: u64,
    /// The newest record that `poll` has told of.
    reported: u64,
}

impl Follower {
    /// A follower that has seen nothing yet.
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

    /// The newest record, when it is newer than the last one that was told.
    ///
    /// Looks for the next number, and lists the log at the first call and every few seconds: an NFS client
    /// may go on hiding a name that it once missed. Cancel-safe: a dropped poll tells of nothing, and the
    /// next one does.
    ///
    /// # Errors
    /// [`StorageError::Unreadable`] or [`StorageError::TooLarge`] when the newest record cannot be
    /// understood, told once; [`StorageError::Missing`] when it is listed but not found yet; else what the
    /// store said. After any error just poll again.
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

    /// Walks on to the last number that follows without a hole. Returns its record, when it walked and
    /// understood it.
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

    /// Sequence of the newest record that is known to be there, readable or not; 0 for none.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }
}
