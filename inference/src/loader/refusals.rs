//! Records and checkpoints that were refused: remembered, counted, logged and shown in `GetModel`.

use crate::model::{Model, RejectedRecord};
use digits_checkpoint::{Refusal, RefusalReason, StorageError, id::CheckpointId};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// Maximum number of records, and of checkpoints, that are remembered.
const MAX_REMEMBERED: usize = 1_000;

/// Refused records and checkpoints of one model.
pub struct Refusals {
    model: Arc<Model>,
    records: BTreeSet<u64>,
    checkpoints: HashMap<CheckpointId, Refusal>,
}

impl Refusals {
    /// Creates an empty set of refusals.
    #[must_use]
    pub fn new(model: Arc<Model>) -> Self {
        Self {
            model,
            records: BTreeSet::new(),
            checkpoints: HashMap::new(),
        }
    }

    /// Whether a refusal of this record was recorded.
    #[must_use]
    pub fn has_record(&self, sequence: u64) -> bool {
        self.records.contains(&sequence)
    }

    /// Forgets which records were refused: another log has others under the same numbers.
    pub fn forget_records(&mut self) {
        self.records.clear();
    }

    /// Why the checkpoint was refused, if it was: it is not verified again for another record.
    #[must_use]
    pub fn of_checkpoint(&self, id: CheckpointId) -> Option<&Refusal> {
        self.checkpoints.get(&id)
    }

    /// Records a refusal of a record, and of the checkpoint that it names. A damaged file may be
    /// restored, so that the next record may name the checkpoint again.
    pub fn record(&mut self, rejected: RejectedRecord) {
        let remembers =
            self.checkpoints.len() < MAX_REMEMBERED && !rejected.refusal.reason.may_be_restored();
        if let Some(checkpoint) = rejected.checkpoint.filter(|_| remembers) {
            let refusal = rejected.refusal.clone();
            self.checkpoints.insert(checkpoint, refusal);
        }
        self.record_in_context(rejected);
    }

    /// Records a refusal of a checkpoint that is valid, but not in this record.
    pub fn record_in_context(&mut self, rejected: RejectedRecord) {
        if self.records.len() >= MAX_REMEMBERED {
            self.records.pop_first();
        }
        self.records.insert(rejected.sequence);
        tracing::error!(
            model = %self.model.name,
            sequence = rejected.sequence,
            checkpoint = rejected.checkpoint.map(|id| id.to_string()),
            reason = %rejected.refusal.reason,
            "refused a checkpoint: {}",
            rejected.refusal.message
        );
        self.model.metrics.refusal(rejected.refusal.reason.as_str());
        let mut status = self.model.status();
        let reason = rejected.refusal.reason.as_str();
        *status.refusals.entry(reason).or_default() += 1;
        let last = status.last_refusal.as_ref();
        if last.is_none_or(|last| last.sequence <= rejected.sequence) {
            status.last_refusal = Some(rejected);
        }
    }

    /// Records a serving record that exists and cannot be read; returns any other error.
    ///
    /// # Errors
    ///
    /// Errors of the storage, which are retried.
    pub fn record_unreadable(
        &mut self,
        sequence: u64,
        error: StorageError,
    ) -> Result<(), StorageError> {
        let refusal = match error {
            StorageError::Unreadable { reason, .. } => {
                let message = format!("the serving record: {reason}");
                Refusal::new(RefusalReason::Format, message)
            }
            StorageError::Untrusted { source, .. } => {
                let message = format!(
                    "the serving record is not trusted: {source}; find out who wrote it, or sign a storage that was \
                     never signed with `digits sign`"
                );
                Refusal::new(RefusalReason::Signature, message)
            }
            StorageError::TooLarge { size, .. } => {
                let message =
                    format!("the serving record has {size} bytes, more than a record can have");
                Refusal::new(RefusalReason::Size, message)
            }
            error => return Err(error),
        };
        self.record(RejectedRecord::new(sequence, None, refusal));
        Ok(())
    }
}
