//! Keeping to one serving record, whatever comes after it.

use super::{Loader, Pending};
use digits_checkpoint::{StorageError, serving};
use std::num::NonZeroU64;

/// The record that is kept to.
pub(super) struct Pin {
    sequence: u64,
    /// Whether the log has it that the record is not there.
    told_missing: bool,
}

impl Loader {
    /// Serves this record and no other; the newest is still looked for, to tell how far behind it is.
    #[must_use]
    pub fn pinned(mut self, sequence: Option<NonZeroU64>) -> Self {
        let number = sequence.map_or(0, NonZeroU64::get);
        self.model.metrics.pinned_sequence.set(number as f64);
        self.model.status().pinned_sequence = number;
        self.pin = sequence.map(|sequence| Pin {
            sequence: sequence.get(),
            told_missing: false,
        });
        self
    }

    /// While nothing serves: the pinned record is to be, unless it was refused.
    pub(super) async fn look_for_pinned(&mut self) -> Result<(), StorageError> {
        let Some(Pin { sequence, .. }) = self.pin else {
            return Ok(());
        };
        let idle = self.pending.is_none() && self.model.serving().is_none();
        if !idle || self.refused_records.contains(&sequence) || !self.is_time_to_look() {
            return Ok(());
        }
        match serving::record(&self.storage, &self.model.name, sequence).await {
            Ok(Some(record)) => self.pending = Some(Pending::new(record)),
            Ok(None) => self.tell_missing(),
            Err(error) => self.unreadable(sequence, error)?,
        }
        Ok(())
    }

    fn tell_missing(&mut self) {
        if let Some(pin) = &mut self.pin
            && !std::mem::replace(&mut pin.told_missing, true)
        {
            tracing::warn!(model = %self.model.name, sequence = pin.sequence, "--pin names a record that is not there; waiting for it");
        }
    }
}
