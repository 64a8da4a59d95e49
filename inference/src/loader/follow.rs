//! The loader: polls the storage, loads one serving record at a time, and swaps its snapshot in.

use super::{
    backoff,
    build::load,
    failure::Failure,
    gauges::{self, seconds, seconds_since},
    highest::Highest,
    low_priority::Priority,
    refusals::Refusals,
    snapshot::SnapshotBuilder,
    swap::{Retired, swap},
    watch::{PendingRecord, Watcher},
};
use crate::model::{LoadedModel, Model, RejectedRecord, ServingSnapshot};
use digits_checkpoint::{
    LoadError, Refusal, RefusalReason, Storage, StorageError,
    record::{Role, Route, ServingRecord},
};
use jiff::Timestamp;
use std::{
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Follows the storage for one model.
pub struct Loader {
    storage: Storage,
    model: Arc<Model>,
    interval: Duration,
    watcher: Watcher,
    refusals: Refusals,
    retired: Retired,
    /// Where signatures are required: no older record is served.
    highest: Option<Arc<Highest>>,
}

impl Loader {
    /// A loader that polls the storage once per `interval`, for the newest record, or for the
    /// record `pin` alone.
    #[must_use]
    pub fn new(
        storage: Storage,
        model: Arc<Model>,
        interval: Duration,
        pin: Option<NonZeroU64>,
    ) -> Self {
        Self {
            watcher: Watcher::new(storage.clone(), Arc::clone(&model), interval, pin),
            refusals: Refusals::new(Arc::clone(&model)),
            retired: Retired::default(),
            highest: None,
            storage,
            model,
            interval,
        }
    }

    /// Serves no record that is older than the highest one, if one is given.
    #[must_use]
    pub fn with_highest(mut self, highest: Option<Arc<Highest>>) -> Self {
        self.highest = highest;
        self
    }

    /// Follows until the token is cancelled, even while a storage does not respond.
    pub async fn run(mut self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&mut self) {
        let mut errors = 0_u32;
        loop {
            match self.step().await {
                Ok(()) => errors = 0,
                Err(error) => {
                    errors = errors.saturating_add(1);
                    self.storage_failed(&error, errors);
                }
            }
            if let Some(highest) = &self.highest {
                highest.save().await;
            }
            gauges::update(&self.model);
            self.retired.free();
            tokio::time::sleep(backoff::delay(self.interval, errors)).await;
        }
    }

    /// Polls once, and loads what there is to load.
    async fn step(&mut self) -> Result<(), StorageError> {
        let polled = self.watcher.poll(&mut self.refusals).await;
        if polled.is_err() && !self.watcher.is_pinned() {
            return polled;
        }
        if let Some(pending) = self.watcher.take_due() {
            self.serve_pending(pending).await;
        }
        self.walk_back().await?;
        polled
    }

    /// Serves a record; it stays pending if another attempt may succeed.
    async fn serve_pending(&mut self, pending: PendingRecord) {
        let sequence = pending.record.sequence;
        match self.serve(&pending.record, pending.seen).await {
            Ok(None) => {}
            Err(Failure::Refused(rejected)) => {
                let may_be_restored = rejected.refusal.reason.may_be_restored();
                // Once, even if the record is tried again.
                if !self.refusals.has_record(sequence) {
                    self.refusals.record(rejected);
                }
                if may_be_restored {
                    self.watcher.retry_seldom(pending);
                }
            }
            Ok(Some(error)) | Err(Failure::Unavailable(error)) => {
                self.model.metrics.failed.increment(1);
                // Once per record: a replica whose file system lags would fill the log.
                if pending.failures == 0 {
                    tracing::warn!(model = %self.model.name, sequence, %error, "a checkpoint cannot be read yet; retrying");
                }
                self.watcher.retry(pending);
            }
        }
    }

    /// While nothing is served: serves the newest record before the head that can be. Where
    /// signatures are required, that would be one that is older than a record seen.
    async fn walk_back(&mut self) -> Result<(), StorageError> {
        if self.highest.is_some() {
            return Ok(());
        }
        let sequences = self.watcher.older_sequences(&self.refusals).await?;
        for sequence in sequences {
            let record = self.watcher.record(sequence, &mut self.refusals).await?;
            let Some(record) = record else {
                continue;
            };
            match self.serve(&record, Instant::now()).await {
                Ok(_) => {
                    let head = self.watcher.head();
                    tracing::warn!(model = %self.model.name, sequence, head, "serving an older record, because the newest cannot be served");
                    return Ok(());
                }
                Err(Failure::Refused(rejected)) => self.refusals.record(rejected),
                Err(Failure::Unavailable(error)) => {
                    self.model.metrics.failed.increment(1);
                    tracing::debug!(model = %self.model.name, sequence, %error, "an older checkpoint cannot be read");
                }
            }
        }
        Ok(())
    }

    /// Loads every route of a record and swaps them in as one snapshot. Returns why a candidate
    /// that is left out could not be read; a later attempt may find it.
    async fn serve(
        &mut self,
        record: &ServingRecord,
        seen: Instant,
    ) -> Result<Option<StorageError>, Failure> {
        self.check_highest(record).await?;
        let current = self.model.snapshot().clone();
        let current = current.as_deref();
        let is_primary = |route: &&Route| route.role == Role::Primary;
        let Some(primary) = record.routes.iter().find(is_primary) else {
            let message = "the serving record names no primary";
            let refusal = Refusal::new(RefusalReason::Manifest, message);
            return Err(Failure::Refused(RejectedRecord::new(
                record.sequence,
                None,
                refusal,
            )));
        };
        let loaded = self.load(record, primary, current).await?;
        let model = Arc::clone(&self.model);
        let mut builder = SnapshotBuilder::new(&model, record, current, (primary, loaded));
        // Refusals are recorded once, even if the record is tried again.
        let is_recorded = self.refusals.has_record(record.sequence);
        let mut unavailable = None;
        for route in record.routes.iter().filter(|route| !is_primary(route)) {
            match self.load(record, route, current).await {
                Ok(loaded) => {
                    let added = builder.add_candidate(route, loaded);
                    if let Err(refusal) = added
                        && !is_recorded
                    {
                        let id = Some(route.checkpoint);
                        let rejected = RejectedRecord::new(record.sequence, id, refusal);
                        self.refusals.record_in_context(rejected);
                    }
                }
                Err(Failure::Refused(rejected)) if !is_recorded => self.refusals.record(rejected),
                Err(Failure::Refused(_)) => {}
                Err(Failure::Unavailable(error)) => unavailable = Some(error),
            }
        }
        if let Some(snapshot) = builder.build() {
            let before = swap(&self.model, snapshot);
            self.count_load(record, seen, before.as_deref());
            self.retired.add(before);
        }
        Ok(unavailable)
    }

    /// The checkpoint of a route: the one that is served already, or loaded from the storage.
    async fn load(
        &self,
        record: &ServingRecord,
        route: &Route,
        current: Option<&ServingSnapshot>,
    ) -> Result<Arc<LoadedModel>, Failure> {
        let id = route.checkpoint;
        if let Some(served) = current.and_then(|snapshot| snapshot.checkpoint(id))
            && served.is_promised_by(route)
        {
            return Ok(Arc::clone(served));
        }
        let refused = |refusal| RejectedRecord::new(record.sequence, Some(id), refusal);
        if let Some(refusal) = self.refusals.of_checkpoint(id) {
            return Err(Failure::Refused(refused(refusal.clone())));
        }
        let priority = match current {
            Some(_) => Priority::Low,
            None => Priority::Normal,
        };
        match load(&self.storage, route, &self.model.name, priority).await {
            Ok(loaded) => Ok(Arc::new(loaded)),
            Err(LoadError::Unavailable(error)) => Err(Failure::Unavailable(error)),
            Err(LoadError::Refused(refusal)) => Err(Failure::Refused(refused(refusal))),
        }
    }

    /// Refuses a record that is older than the highest one seen, and remembers one that is newer. A
    /// pinned record is an operator's choice, whatever was seen before.
    async fn check_highest(&self, record: &ServingRecord) -> Result<(), Failure> {
        let Some(highest) = &self.highest else {
            return Ok(());
        };
        if !self.watcher.is_pinned() {
            let checked = highest.check(record.sequence);
            checked.map_err(|refusal| {
                Failure::Refused(RejectedRecord::new(record.sequence, None, refusal))
            })?;
        }
        highest.raise(record.sequence);
        highest.save().await;
        Ok(())
    }

    fn count_load(&self, record: &ServingRecord, seen: Instant, before: Option<&ServingSnapshot>) {
        let metrics = &self.model.metrics;
        metrics.loaded.increment(1);
        metrics.record_made.set(seconds(record.at));
        metrics.record_applied.set(seconds(Timestamp::now()));
        metrics.reload_duration.record(seen.elapsed().as_secs_f64());
        // A record from before the start would show when the process was started, and an older one
        // how far it walked back.
        let is_newer = before.is_none_or(|before| before.sequence < record.sequence);
        if self.watcher.saw_published(record) && is_newer {
            metrics.publish_to_serve.record(seconds_since(record.at));
        }
    }

    fn storage_failed(&self, error: &StorageError, errors: u32) {
        self.model.metrics.failed.increment(1);
        if errors == 1 {
            tracing::warn!(model = %self.model.name, %error, "the storage cannot be read; retrying, and serving what is loaded");
        }
    }
}
