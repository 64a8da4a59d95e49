//! Follows a serving log, cheaply enough to poll several times a second, and notices when the log is
//! not what it was.
//!
//! Reports the newest record, not whether it can be served: a reader that cannot verify the head
//! keeps what it serves, or, while nothing serves yet, goes back through [`crate::serving::list`].

mod fault;

pub use fault::{LogFault, LogFaults};

use crate::{
    id::ModelName,
    keys,
    record::ServingRecord,
    serving,
    storage::{Storage, StorageError},
};
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// Interval of listings; in between only the next number is read.
const LIST_INTERVAL: Duration = Duration::from_secs(5);
/// Most records that a poll steps over, so that it ends.
const STEPS_PER_POLL: usize = 1024;
/// Records before an untrusted one that are searched for a trusted one.
const SEARCHED: u64 = 1000;
/// Listings in a row without the newest record until the log is taken for another one: a cache may
/// hide names for a moment.
const CONFIRMATIONS: u32 = 2;

/// Follows the serving log of a model.
#[derive(Debug)]
pub struct Follower {
    storage: Storage,
    model: ModelName,
    list_interval: Duration,
    listed: Option<Instant>,
    /// The newest record that is known to exist.
    head: u64,
    /// The newest record that `poll` has returned; 0 for none of this log.
    reported: u64,
    /// The content of `reported`, if it could be read.
    newest: Option<Newest>,
    /// Listings in a row that lack `head`.
    missing: u32,
    /// The newest record of the last listing, and when its key was written.
    listed_newest: Option<(u64, Timestamp)>,
    faults: LogFaults,
    replacement: Option<Replacement>,
    passed_over: Option<(u64, StorageError)>,
}

/// What identifies the newest record, and the time of the newest that is trusted.
#[derive(Debug)]
struct Newest {
    /// Empty for a record that is not trusted.
    nonce: String,
    at: Option<Timestamp>,
    /// When its key was written, once a listing has shown it.
    modified: Option<Timestamp>,
}

/// The log was replaced: the storage is another one, or was restored from a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// Sequence of the newest record before.
    pub before: u64,
    /// Sequence of the newest record now.
    pub now: u64,
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
            newest: None,
            missing: 0,
            listed_newest: None,
            faults: LogFaults::default(),
            replacement: None,
            passed_over: None,
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
    /// NFS client may cache the absence of a name. If two listings in a row lack the record returned
    /// last, and it cannot be read, the storage has another log: its newest record is returned, and
    /// [`take_replacement`](Self::take_replacement) says so. An empty log replaces nothing.
    ///
    /// Where the storage requires signatures, the newest record that has one counts;
    /// [`take_passed_over`](Self::take_passed_over) says so. A log whose numbers are lower then
    /// replaces nothing. Cancel-safe: the next poll returns what a dropped one would have.
    ///
    /// # Errors
    /// [`StorageError::Unreadable`], [`StorageError::TooLarge`] or [`StorageError::Untrusted`],
    /// once, when the newest record cannot be used; [`StorageError::Missing`] when it is listed but
    /// not found yet; else the store's error. After any error, poll again.
    pub async fn poll(&mut self) -> Result<Option<ServingRecord>, StorageError> {
        if self
            .listed
            .is_none_or(|at| at.elapsed() >= self.list_interval)
        {
            self.list().await?;
            self.listed = Some(Instant::now());
        }
        let mut newest = self.step_forward().await?;
        if self.head == self.reported {
            return Ok(None);
        }
        if newest.is_none() && self.head > 0 {
            newest = match serving::record(&self.storage, &self.model, self.head).await {
                Err(error @ StorageError::Untrusted { .. }) => {
                    return self.pass_over(error).await;
                }
                Err(error) if error.is_unreadable() => {
                    (self.reported, self.newest) = (self.head, None);
                    return Err(error);
                }
                other => other?,
            };
        }
        let record = newest.ok_or_else(|| StorageError::Missing {
            key: keys::record(&self.model, self.head),
        })?;
        self.report(record.nonce.clone(), Some(&record));
        Ok(Some(record))
    }

    /// The newest record is not trusted: returns the newest trusted one after the record returned
    /// last, or the error.
    async fn pass_over(
        &mut self,
        error: StorageError,
    ) -> Result<Option<ServingRecord>, StorageError> {
        let oldest = self.head.saturating_sub(SEARCHED).max(self.reported) + 1;
        let between = oldest..=self.head.saturating_sub(1);
        let trusted = serving::newest_trusted(&self.storage, &self.model, between).await;
        let trusted = match trusted {
            Err(error) if error.is_unreadable() => None,
            trusted => trusted?,
        };
        self.report(String::new(), trusted.as_ref());
        if trusted.is_none() {
            return Err(error);
        }
        self.passed_over = Some((self.head, error));
        Ok(trusted)
    }

    /// Remembers that `head`, with this nonce, was returned, or the trusted record before it.
    fn report(&mut self, nonce: String, record: Option<&ServingRecord>) {
        let before = self.newest.as_ref().and_then(|newest| newest.at);
        if let Some(record) = record {
            self.faults.check_clock(record, before);
        }
        let listed = self
            .listed_newest
            .filter(|&(newest, _)| newest == self.head);
        self.newest = Some(Newest {
            nonce,
            at: record.map(|record| record.at).or(before),
            modified: listed.map(|(_, modified)| modified),
        });
        self.reported = self.head;
    }

    /// Lists the log from its newest record on, and checks that this record is still there.
    async fn list(&mut self) -> Result<(), StorageError> {
        let after = self.head.saturating_sub(1);
        let listing = serving::listing(&self.storage, &self.model, after).await?;
        self.faults.set_stray(listing.stray);
        self.faults.recheck_clock();
        self.check_names().await?;
        self.listed_newest = listing.newest;
        if let Some((newest, modified)) = listing.newest {
            if newest == self.head {
                self.check_content(modified).await?;
            }
            self.head = newest;
            self.missing = 0;
            self.faults.set_gone(None);
        } else if self.head > 0 {
            self.check_absence().await?;
        }
        Ok(())
    }

    /// Checks that no folder has the name of the newest record or of the next one.
    async fn check_names(&mut self) -> Result<(), StorageError> {
        let mut taken = None;
        for sequence in [self.head, self.head.saturating_add(1)] {
            let key = keys::record(&self.model, sequence);
            if sequence > 0 && self.storage.is_folder(&key).await? {
                taken = Some(key);
            }
        }
        self.faults.set_name_taken(taken);
        Ok(())
    }

    /// Reads the newest record again where its key was written anew, or where it is not trusted: a
    /// storage that was swapped for another one may have a record of the same number.
    async fn check_content(&mut self, modified: Timestamp) -> Result<(), StorageError> {
        let is_read = self.reported == self.head;
        let Some(newest) = self.newest.as_mut().filter(|_| is_read) else {
            return Ok(());
        };
        let is_trusted = !newest.nonce.is_empty();
        if !is_trusted || newest.modified.is_some_and(|before| before != modified) {
            match serving::record(&self.storage, &self.model, self.head).await {
                Ok(Some(record)) if record.nonce != newest.nonce => {
                    self.replace(self.head);
                    return Ok(());
                }
                Err(error) if !error.is_unreadable() => return Err(error),
                _ => {}
            }
        }
        newest.modified = Some(modified);
        Ok(())
    }

    /// The newest record is not listed: reads it, and looks for the log that is there in its place.
    async fn check_absence(&mut self) -> Result<(), StorageError> {
        let key = keys::record(&self.model, self.head);
        if self.storage.is_folder(&key).await? {
            return Ok(());
        }
        match serving::record(&self.storage, &self.model, self.head).await {
            // A listing that lags behind.
            Ok(Some(_)) => {
                self.missing = 0;
                self.faults.set_gone(None);
                return Ok(());
            }
            Ok(None) => {}
            Err(error) if error.is_unreadable() => return Ok(()),
            Err(error) => return Err(error),
        }
        let newest = serving::newest_after(&self.storage, &self.model, 0).await?;
        self.missing = self.missing.saturating_add(1);
        self.faults.set_gone(Some((self.head, newest)));
        // No signature says that a lower number is to be served again.
        if let Some(newest) = newest
            && self.missing >= CONFIRMATIONS
            && self.storage.keys().is_none()
        {
            self.replace(newest);
            self.faults.set_gone(None);
        }
        Ok(())
    }

    /// Begins to follow another log, whose newest record is `newest`.
    fn replace(&mut self, newest: u64) {
        self.replacement = Some(Replacement {
            before: self.head,
            now: newest,
        });
        self.head = newest;
        (self.reported, self.newest, self.missing) = (0, None, 0);
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

    /// Whether the log was listed yet.
    #[must_use]
    pub fn has_listed(&self) -> bool {
        self.listed.is_some()
    }

    /// What is wrong with the log at this time.
    #[must_use]
    pub fn faults(&self) -> &LogFaults {
        &self.faults
    }

    /// The newest record, in whose place an older one was returned since the last call, and why it
    /// is not trusted.
    pub fn take_passed_over(&mut self) -> Option<(u64, StorageError)> {
        self.passed_over.take()
    }

    /// The replacement of the log by another one since the last call, if there was one.
    pub fn take_replacement(&mut self) -> Option<Replacement> {
        self.replacement.take()
    }
}
