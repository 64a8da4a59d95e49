//! Watches the serving log for the record to serve next: the newest, or the one that is pinned.

use super::{backoff, gauges::seconds, refusals::Refusals, storage_faults};
use crate::model::Model;
use digits_checkpoint::{
    Follower, Replacement, Storage, StorageError, record::ServingRecord, serving,
};
use jiff::Timestamp;
use std::{
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, Instant},
};

/// Maximum number of older records that are tried when the newest cannot be served.
const MAX_WALK_BACK: usize = 100;

/// A record that is to be served.
pub struct PendingRecord {
    /// The record.
    pub record: ServingRecord,
    /// When it was first seen.
    pub seen: Instant,
    /// Attempts that failed.
    pub failures: u32,
    retry_at: Instant,
}

/// The record that a model is pinned to.
struct Pin {
    sequence: u64,
    /// Whether its absence was logged.
    absence_logged: bool,
}

/// Watches the serving log of one model.
pub struct Watcher {
    storage: Storage,
    model: Arc<Model>,
    interval: Duration,
    follower: Follower,
    pin: Option<Pin>,
    pending: Option<PendingRecord>,
    /// While nothing is served: time of the next search for older records or the pinned one, and
    /// the number of searches without a result.
    search_at: Instant,
    searches: u32,
    /// The head when the storage was first read: later records were published while this process
    /// followed.
    first_head: Option<u64>,
}

impl Watcher {
    /// Watches for the newest record, or for the record `pin` alone.
    #[must_use]
    pub fn new(
        storage: Storage,
        model: Arc<Model>,
        interval: Duration,
        pin: Option<NonZeroU64>,
    ) -> Self {
        let number = pin.map_or(0, NonZeroU64::get);
        model.metrics.pinned_sequence.set(number as f64);
        model.status().pinned_sequence = number;
        Self {
            follower: Follower::new(storage.clone(), model.name.clone()),
            storage,
            model,
            interval,
            pin: pin.map(|sequence| Pin {
                sequence: sequence.get(),
                absence_logged: false,
            }),
            pending: None,
            search_at: Instant::now(),
            searches: 0,
            first_head: None,
        }
    }

    /// Reads the head of the log, and the pinned record if it is not served yet.
    ///
    /// # Errors
    ///
    /// When the storage cannot be read.
    pub async fn poll(&mut self, refusals: &mut Refusals) -> Result<(), StorageError> {
        let polled = self.poll_head(refusals).await;
        if self.pin.is_some() {
            // A pinned record does not wait for a head that cannot be read.
            self.poll_pinned(refusals).await?;
        }
        polled
    }

    /// The record to load now, if any.
    pub fn take_due(&mut self) -> Option<PendingRecord> {
        self.pending
            .take_if(|pending| pending.retry_at <= Instant::now())
    }

    /// Tries the record again later, unless a newer one comes before.
    pub fn retry(&mut self, mut pending: PendingRecord) {
        pending.failures += 1;
        pending.retry_at = Instant::now() + backoff::delay(self.interval, pending.failures);
        self.pending = Some(pending);
    }

    /// Tries the record again after a longer time, unless a newer one comes before: its files are
    /// damaged, and may be restored.
    pub fn retry_seldom(&mut self, mut pending: PendingRecord) {
        pending.failures += 1;
        pending.retry_at = Instant::now() + backoff::long_delay(self.interval, pending.failures);
        self.pending = Some(pending);
    }

    /// Sequences of records before the head, newest first, if nothing is served and it is time to
    /// try them.
    ///
    /// # Errors
    ///
    /// When the storage cannot be read.
    pub async fn older_sequences(&mut self, refusals: &Refusals) -> Result<Vec<u64>, StorageError> {
        let head = self.head();
        let follows = self.pin.is_none() && head > 0;
        if !follows || self.model.is_serving() || !self.is_time_to_search() {
            return Ok(Vec::new());
        }
        let mut sequences = serving::list(&self.storage, &self.model.name).await?;
        sequences.retain(|&sequence| sequence < head && !refusals.has_record(sequence));
        Ok(sequences.into_iter().rev().take(MAX_WALK_BACK).collect())
    }

    /// The record of a sequence, if it exists and can be read.
    ///
    /// # Errors
    ///
    /// When the storage cannot be read.
    pub async fn record(
        &self,
        sequence: u64,
        refusals: &mut Refusals,
    ) -> Result<Option<ServingRecord>, StorageError> {
        match serving::record(&self.storage, &self.model.name, sequence).await {
            Ok(record) => Ok(record),
            Err(error) => refusals.record_unreadable(sequence, error).map(|()| None),
        }
    }

    /// Whether the record was published while this process followed the storage.
    #[must_use]
    pub fn saw_published(&self, record: &ServingRecord) -> bool {
        self.first_head.is_some_and(|head| record.sequence > head)
    }

    /// Newest sequence that was read; the follower of a restarted loader may not have read any yet.
    #[must_use]
    pub fn head(&self) -> u64 {
        if self.follower.has_listed() {
            self.follower.head()
        } else {
            self.model.status().head_sequence
        }
    }

    /// Whether the model is pinned to a record.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }

    async fn poll_head(&mut self, refusals: &mut Refusals) -> Result<(), StorageError> {
        let polled = self.follower.poll().await;
        if let Some(replacement) = self.follower.take_replacement() {
            self.log_replaced(replacement, refusals);
        }
        if let Some((sequence, error)) = self.follower.take_passed_over() {
            refusals.record_unreadable(sequence, error)?;
        }
        storage_faults::show(&self.model, self.follower.faults());
        let head = self.head();
        self.model.metrics.head_sequence.set(head as f64);
        self.model.status().head_sequence = head;
        match polled {
            Ok(Some(record)) if self.pin.is_none() => self.pending = Some(pending(record)),
            Ok(_) => {}
            Err(error) => refusals.record_unreadable(head, error)?,
        }
        self.first_head.get_or_insert(head);
        let now = Timestamp::now();
        self.model.metrics.storage_read.set(seconds(now));
        self.model.status().storage_read_at = Some(now);
        Ok(())
    }

    /// Follows another log from now on: what was remembered of the earlier one does not apply to it.
    fn log_replaced(&mut self, replacement: Replacement, refusals: &mut Refusals) {
        let Replacement { before, now } = replacement;
        tracing::warn!(
            model = %self.model.name, before, now,
            "the storage has another serving log: it was swapped or restored; following its newest record"
        );
        self.model.metrics.log_replacements.increment(1);
        refusals.forget_records();
        self.pending = None;
        self.first_head = Some(now);
    }

    async fn poll_pinned(&mut self, refusals: &mut Refusals) -> Result<(), StorageError> {
        let Some(Pin { sequence, .. }) = self.pin else {
            return Ok(());
        };
        let is_idle = self.pending.is_none() && !self.model.is_serving();
        if !is_idle || refusals.has_record(sequence) || !self.is_time_to_search() {
            return Ok(());
        }
        match self.record(sequence, refusals).await? {
            Some(record) => self.pending = Some(pending(record)),
            None if refusals.has_record(sequence) => {}
            None => self.log_absence(),
        }
        Ok(())
    }

    fn log_absence(&mut self) {
        if let Some(pin) = &mut self.pin
            && !std::mem::replace(&mut pin.absence_logged, true)
        {
            tracing::warn!(
                model = %self.model.name,
                sequence = pin.sequence,
                "--pin names a serving record that does not exist; waiting for it"
            );
        }
    }

    /// Whether to search now; less and less often.
    fn is_time_to_search(&mut self) -> bool {
        let now = Instant::now();
        if now < self.search_at {
            return false;
        }
        self.searches = self.searches.saturating_add(1);
        self.search_at = now + backoff::delay(self.interval, self.searches);
        true
    }
}

fn pending(record: ServingRecord) -> PendingRecord {
    let now = Instant::now();
    PendingRecord {
        record,
        seen: now,
        failures: 0,
        retry_at: now,
    }
}
