//! What a loader tells: refusals, the state of the storage, how far behind it is; and the end of old weights.

use super::{Loader, REMEMBERED, RETIRED, seconds_since};
use crate::model::Refused;
use digits_checkpoint::StorageError;
use jiff::Timestamp;
use std::sync::Arc;

impl Loader {
    /// A record stays out for good: remembers, counts and shows it.
    pub(super) fn note_refusal(&mut self, refused: Refused) {
        if self.refused_records.len() >= REMEMBERED {
            self.refused_records.pop_first();
        }
        self.refused_records.insert(refused.sequence);
        tracing::error!(
            model = %self.model.name,
            sequence = refused.sequence,
            checkpoint = refused.checkpoint.map(|id| id.to_string()),
            reason = %refused.refusal.reason,
            "refused a checkpoint: {}",
            refused.refusal.message
        );
        if let Some(checkpoint) = refused
            .checkpoint
            .filter(|_| self.refused.len() < REMEMBERED)
        {
            self.refused.insert(checkpoint, refused.refusal.clone());
        }
        self.model.metrics.refusal(refused.refusal.reason);
        let mut status = self.model.status();
        *status
            .refusals
            .entry(refused.refusal.reason.as_str())
            .or_default() += 1;
        if status
            .last_refusal
            .as_ref()
            .is_none_or(|last| last.sequence <= refused.sequence)
        {
            status.last_refusal = Some(refused);
        }
    }

    pub(super) fn storage_failed(&self, error: &StorageError, errors: u32) {
        self.model.metrics.failed.increment(1);
        if errors == 1 {
            tracing::warn!(model = %self.model.name, %error, "the storage cannot be read; trying again, and serving what serves");
        }
    }

    pub(super) fn storage_read(&self) {
        let now = Timestamp::now();
        self.model
            .metrics
            .storage_read
            .set(now.as_millisecond() as f64 / 1e3);
        self.model.status().storage_read_at = Some(now);
    }

    pub(super) fn tell_behind(&self) {
        let serving = self
            .model
            .serving()
            .as_ref()
            .map_or(0, |serving| serving.sequence);
        let behind = self.model.status().head_sequence.saturating_sub(serving);
        self.model.metrics.behind_head.set(behind as f64);
    }

    pub(super) fn tell_age(&self) {
        if let Some(serving) = &*self.model.serving() {
            for served in serving.all() {
                served
                    .gauges
                    .set_age(seconds_since(served.checkpoint.manifest.created_at));
            }
        }
    }

    /// Compares the newest full window of answers with what was learnt.
    pub(super) fn tell_drift(&self) {
        if let Some(serving) = &*self.model.serving() {
            for served in serving.all() {
                if let Some(drift) = served.metrics.tally.step(&served.checkpoint.manifest) {
                    served.gauges.drift.set(Some(drift));
                }
            }
        }
    }

    /// Frees old weights here, not in the request that used them last.
    pub(super) fn free_retired(&mut self) {
        while self.retired.len() > RETIRED {
            self.retired.remove(0);
        }
        let (free, used): (Vec<_>, Vec<_>) = self
            .retired
            .drain(..)
            .partition(|serving| Arc::strong_count(serving) == 1);
        self.retired = used;
        if !free.is_empty() {
            // Hundreds of megabytes go back to the system in more than a moment.
            tokio::task::spawn_blocking(move || drop(free));
        }
    }
}
