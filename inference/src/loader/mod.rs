//! Follows the serving log of one model and swaps in what it names, off the request path.
//!
//! What serves stays until something better is ready: a refused checkpoint, a missing file or an unreachable storage never
//! unloads anything, and never stops later records from being looked at. A refusal is final for its record; everything
//! else is tried again.

mod background;
mod candidates;
mod pin;
mod prepare;
mod report;

use crate::model::{ActiveRoute, LoadedModel, Model, Refused, ServingSnapshot};
use digits_checkpoint::{
    Follower, LoadError, Refusal, RefusalReason, Storage, StorageError,
    id::CheckpointId,
    record::{Role, Route, ServingRecord},
    serving,
};
use jiff::Timestamp;
use pin::Pin;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Longest wait between two attempts where the storage fails.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How many records a fresh replica walks back at most.
const WALK_BACK: usize = 100;
/// Refused checkpoints that are remembered while walking back.
const REMEMBERED: usize = 1_000;
/// Old weights that wait for the last request that uses them.
const RETIRED: usize = 8;

/// What loading a record came to when it did not serve.
enum Failure {
    /// The record stays out for good.
    Refused(Refused),
    /// Missing files, a storage that does not answer, or a panic while they were read: tried again.
    Unavailable(StorageError),
}

/// A record that is to be served, and has not been yet.
struct Pending {
    record: ServingRecord,
    seen: Instant,
    /// Attempts that failed.
    failures: u32,
    retry_at: Instant,
}

impl Pending {
    fn new(record: ServingRecord) -> Self {
        let now = Instant::now();
        Self {
            record,
            seen: now,
            failures: 0,
            retry_at: now,
        }
    }
}

/// Follows the storage for one model.
pub struct Loader {
    storage: Storage,
    model: Arc<Model>,
    interval: Duration,
    follower: Follower,
    /// Serves this record and no other.
    pin: Option<Pin>,
    pending: Option<Pending>,
    /// Checkpoints that were refused: not verified again when another record names them too.
    refused: HashMap<CheckpointId, Refusal>,
    /// Records that were refused: counted once.
    refused_records: BTreeSet<u64>,
    /// When to walk back, or to look for the pinned record, next, while nothing serves, and how often that came to nothing.
    walk_at: Instant,
    walks: u32,
    retired: Vec<Arc<ServingSnapshot>>,
    /// Head of the storage when it was first read: what came later was published while this process followed.
    first_head: Option<u64>,
}

impl Loader {
    /// A loader that looks at the storage once per `interval`.
    #[must_use]
    pub fn new(storage: Storage, model: Arc<Model>, interval: Duration) -> Self {
        Self {
            follower: Follower::new(storage.clone(), model.name.clone()),
            storage,
            model,
            interval,
            pin: None,
            pending: None,
            refused: HashMap::new(),
            refused_records: BTreeSet::new(),
            walk_at: Instant::now(),
            walks: 0,
            retired: Vec::new(),
            first_head: None,
        }
    }

    /// Follows until the token is cancelled, also amid a look at a storage that does not answer;
    /// `served` is called after the
    /// first look at what is served then, and whenever something was swapped in.
    pub async fn run(mut self, shutdown: CancellationToken, served: impl AsyncFn()) {
        shutdown.run_until_cancelled(self.follow(served)).await;
    }

    async fn follow(&mut self, served: impl AsyncFn()) {
        let mut errors = 0_u32;
        let mut told = None;
        loop {
            match self.step().await {
                Ok(()) => errors = 0,
                Err(error) => {
                    errors = errors.saturating_add(1);
                    self.storage_failed(&error, errors);
                }
            }
            let sequence = self.model.serving().as_ref().map(|it| it.sequence);
            if sequence != told {
                served().await;
                told = sequence;
            }
            self.tell_age();
            self.tell_drift();
            self.tell_behind();
            self.free_retired();
            tokio::time::sleep(backoff(self.interval, errors)).await;
        }
    }

    /// One look at the storage, and what follows from it.
    async fn step(&mut self) -> Result<(), StorageError> {
        let polled = self.follower.poll().await;
        // A follower of a restarted loader may not have read anything yet.
        let head = self.follower.head().max(self.model.status().head_sequence);
        self.model.metrics.head_sequence.set(head as f64);
        self.model.status().head_sequence = head;
        let mut looked = Ok(());
        match polled {
            Ok(Some(record)) if self.pin.is_none() => self.pending = Some(Pending::new(record)),
            Ok(_) => {}
            Err(error) => looked = self.unreadable(head, error),
        }
        if looked.is_ok() {
            self.storage_read();
            self.first_head.get_or_insert(head);
        } else if self.pin.is_none() {
            return looked;
        }
        // A pinned record does not wait for a head that cannot be read.
        self.look_for_pinned().await?;
        if let Some(pending) = self
            .pending
            .take_if(|pending| pending.retry_at <= Instant::now())
        {
            self.try_pending(pending).await;
        }
        let follows = self.pin.is_none() && head > 0;
        if follows && self.model.serving().is_none() && self.is_time_to_look() {
            self.walk_back(head).await?;
        }
        looked
    }

    /// Whether to look at older records now; less and less often.
    fn is_time_to_look(&mut self) -> bool {
        let now = Instant::now();
        if now < self.walk_at {
            return false;
        }
        self.walks = self.walks.saturating_add(1);
        self.walk_at = now + backoff(self.interval, self.walks);
        true
    }

    /// A record that is there and cannot be understood is refused; any other error is the storage's.
    fn unreadable(&mut self, sequence: u64, error: StorageError) -> Result<(), StorageError> {
        match error {
            StorageError::Unreadable { reason, .. } => {
                let refusal = Refusal::new(
                    RefusalReason::Format,
                    format!("the serving record: {reason}"),
                );
                self.note_refusal(refused(sequence, None, refusal));
                Ok(())
            }
            StorageError::TooLarge { size, .. } => {
                let message =
                    format!("the serving record has {size} bytes, more than a record can have");
                self.note_refusal(refused(
                    sequence,
                    None,
                    Refusal::new(RefusalReason::Size, message),
                ));
                Ok(())
            }
            error => Err(error),
        }
    }

    /// Tries to serve the head; keeps it pending where trying again can help.
    async fn try_pending(&mut self, mut pending: Pending) {
        let sequence = pending.record.sequence;
        match self.serve(&pending.record, pending.seen).await {
            Ok(None) => {}
            Err(Failure::Refused(refused)) => self.note_refusal(refused),
            Ok(Some(error)) | Err(Failure::Unavailable(error)) => {
                self.model.metrics.failed.increment(1);
                pending.failures += 1;
                pending.retry_at = Instant::now() + backoff(self.interval, pending.failures);
                // Once per record: a replica whose file system is behind would fill the log.
                if pending.failures == 1 {
                    tracing::warn!(model = %self.model.name, sequence, %error, "a checkpoint cannot be read yet; trying again");
                }
                self.pending = Some(pending);
            }
        }
    }

    /// With nothing serving yet: the newest record before the head that verifies.
    async fn walk_back(&mut self, head: u64) -> Result<(), StorageError> {
        let mut sequences = serving::list(&self.storage, &self.model.name).await?;
        sequences.retain(|sequence| *sequence < head && !self.refused_records.contains(sequence));
        for sequence in sequences.into_iter().rev().take(WALK_BACK) {
            let record = match serving::record(&self.storage, &self.model.name, sequence).await {
                Ok(Some(record)) => record,
                Ok(None) => continue,
                Err(error) => {
                    self.unreadable(sequence, error)?;
                    continue;
                }
            };
            match self.serve(&record, Instant::now()).await {
                Ok(_) => {
                    tracing::warn!(model = %self.model.name, sequence, head, "serving an older record, as the newest cannot be");
                    return Ok(());
                }
                Err(Failure::Refused(refused)) => self.note_refusal(refused),
                Err(Failure::Unavailable(error)) => {
                    self.model.metrics.failed.increment(1);
                    tracing::debug!(model = %self.model.name, sequence, %error, "an older checkpoint cannot be read");
                }
            }
        }
        Ok(())
    }

    /// Loads every route of a record and swaps them in as one value; tells why a candidate is not among them that may yet
    /// come.
    async fn serve(
        &mut self,
        record: &ServingRecord,
        seen: Instant,
    ) -> Result<Option<StorageError>, Failure> {
        let before = self.model.serving().clone();
        let before = before.as_deref();
        let Some(route) = record
            .routes
            .iter()
            .find(|route| route.role == Role::Primary)
        else {
            let refusal = Refusal::new(
                RefusalReason::Manifest,
                "the serving record names no primary",
            );
            return Err(Failure::Refused(refused(record.sequence, None, refusal)));
        };
        let primary = self.load(record, route, before).await?;
        let (others, missing) = self.candidates(record, &primary, before).await;
        // A second look for candidates that could not be read: nothing to swap where it found none.
        let found = |serving: &ServingSnapshot| {
            serving.sequence == record.sequence && serving.others.len() == others.len()
        };
        if !before.is_some_and(found) {
            let serving = ServingSnapshot {
                sequence: record.sequence,
                primary,
                others,
            };
            self.swap(record, serving, seen);
        }
        Ok(missing)
    }

    /// Verifies and prepares the checkpoint of a route, or takes the one that serves already.
    async fn load(
        &mut self,
        record: &ServingRecord,
        route: &Route,
        before: Option<&ServingSnapshot>,
    ) -> Result<ActiveRoute, Failure> {
        let id = route.checkpoint;
        let prepared: Arc<LoadedModel> = match before.and_then(|serving| serving.prepared(id)) {
            Some(prepared) => Arc::clone(prepared),
            None => {
                if let Some(refusal) = self.refused.get(&id) {
                    return Err(Failure::Refused(refused(
                        record.sequence,
                        Some(id),
                        refusal.clone(),
                    )));
                }
                let name = &self.model.name;
                match prepare::prepare(&self.storage, id, name, before.is_some()).await {
                    Ok(prepared) => Arc::new(prepared),
                    Err(LoadError::Unavailable(error)) => return Err(Failure::Unavailable(error)),
                    Err(LoadError::Refused(refusal)) => {
                        return Err(Failure::Refused(refused(
                            record.sequence,
                            Some(id),
                            refusal,
                        )));
                    }
                }
            }
        };
        Ok(self
            .model
            .route_entry(prepared, (record.sequence, route), before))
    }

    fn swap(&mut self, record: &ServingRecord, serving: ServingSnapshot, seen: Instant) {
        let serving = Arc::new(serving);
        let old = self.model.swap(Arc::clone(&serving));
        for served in old.iter().flat_map(|old| old.all()) {
            if serving.all().all(|now| now.role != served.role) {
                served.gauges.clear();
                served.live.clear();
            }
        }
        for served in serving.all() {
            served.live.show();
            if served.since_sequence == serving.sequence {
                // What was told is of the checkpoint before.
                served.gauges.drift.set(None);
            }
            served.gauges.set(serving.sequence, &served.checkpoint);
        }
        let metrics = &self.model.metrics;
        metrics.loaded.increment(1);
        metrics.reload_duration.record(seen.elapsed().as_secs_f64());
        // What was there before this process tells when it was started, and an older record how far it walked back.
        let came = self.first_head.is_some_and(|head| record.sequence > head);
        if came
            && old
                .as_ref()
                .is_none_or(|old| old.sequence < record.sequence)
        {
            metrics.publish_to_serve.record(seconds_since(record.at));
        }
        let checkpoint = &serving.primary.checkpoint;
        tracing::info!(
            model = %self.model.name,
            sequence = record.sequence,
            checkpoint = %checkpoint.manifest.id,
            microseconds_alone = checkpoint.network.costs().alone() / 1e3,
            microseconds_among_many = checkpoint.network.costs().among_many() / 1e3,
            "serving"
        );
        self.retired.extend(old);
    }
}

fn refused(sequence: u64, checkpoint: Option<CheckpointId>, refusal: Refusal) -> Refused {
    Refused {
        sequence,
        checkpoint,
        refusal,
        at: Timestamp::now(),
    }
}

fn seconds_since(time: Timestamp) -> f64 {
    ((Timestamp::now().as_millisecond() - time.as_millisecond()) as f64 / 1e3).max(0.0)
}

/// The interval, doubled with each failure after the first.
fn backoff(interval: Duration, failures: u32) -> Duration {
    let doubled = interval.saturating_mul(1 << failures.saturating_sub(1).min(10));
    if failures == 0 {
        interval
    } else {
        doubled.min(LONGEST_WAIT.max(interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_a_bound() {
        let interval = Duration::from_millis(250);
        let cases = [
            (0, 250),
            (1, 250),
            (2, 500),
            (4, 2_000),
            (6, 5_000),
            (1_000_000, 5_000),
        ];
        for (failures, expected) in cases {
            assert_eq!(
                backoff(interval, failures),
                Duration::from_millis(expected),
                "{failures} failures"
            );
        }
        assert_eq!(backoff(Duration::from_secs(60), 9), Duration::from_secs(60));
    }
}
