//! Watches a journal from outside, to find out whether its writer still writes.

use super::{
    entry::{EntryKind, Position},
    store::{EpochRecord, Journal},
};
use crate::storage::StorageError;

/// What was seen of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The process that holds the newest epoch; `None` for a journal that nobody has begun.
    pub holder: Option<EpochRecord>,
    /// Whether that process has stopped in an orderly way.
    pub closed: bool,
    /// Whether something was written since the last look; not known at the first one.
    pub moved: bool,
}

/// Polls a journal for new entries, without writing to it.
#[derive(Debug)]
pub struct Observer {
    journal: Journal,
    /// The last entry that was seen.
    last: Option<Position>,
    closed: bool,
}

impl Observer {
    /// Has seen nothing yet.
    #[must_use]
    pub fn new(journal: Journal) -> Self {
        Self {
            journal,
            last: None,
            closed: false,
        }
    }

    /// Looks at the end of the journal.
    ///
    /// # Errors
    /// The store's error.
    pub async fn look(&mut self) -> Result<Sight, StorageError> {
        let holder = self.journal.newest_epoch().await?;
        let before = self.last;
        if let Some(holder) = &holder {
            self.read(holder.epoch).await?;
        }
        Ok(Sight {
            holder,
            closed: self.closed,
            moved: before.is_some() && self.last != before,
        })
    }

    async fn read(&mut self, epoch: u64) -> Result<(), StorageError> {
        let mut last = match self.last.filter(|seen| seen.epoch == epoch) {
            Some(seen) => seen,
            None => {
                self.closed = false;
                let start = Position { epoch, number: 0 };
                let listed = self.journal.last_listed(epoch).await?.unwrap_or(start);
                // Read again below, for its kind.
                Position {
                    number: listed.number.saturating_sub(1),
                    ..listed
                }
            }
        };
        while let Some(entry) = self.journal.entry(last.next()).await? {
            last = last.next();
            self.closed = entry.header.kind == EntryKind::Closed;
        }
        self.last = Some(last);
        Ok(())
    }
}
