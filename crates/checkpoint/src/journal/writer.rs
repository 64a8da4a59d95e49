//! Appends to the journal, for the process that holds the newest epoch.

use super::{
    entry::{EntryKind, Position},
    store::{Identity, Journal},
};
use crate::storage::{Created, StorageError};
use bytes::Bytes;

/// Why an entry was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another process has taken over: this one must stop.
    #[error("another process has taken the journal over")]
    Fenced,
    /// The storage failed: it is unknown whether the entry is there, until [`Writer::settle`].
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The result of an append whose request failed, and which may have been stored all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing was unknown, or the entry is not there and never will be.
    Nothing,
    /// The changes are stored.
    Stored {
        /// Their place.
        at: Position,
        /// The changes.
        changes: Bytes,
    },
}

/// The end of the journal, for its writer.
#[derive(Debug)]
pub struct Writer {
    journal: Journal,
    identity: Identity,
    /// The last entry.
    position: Position,
    unknown: Option<Unknown>,
}

/// What failed last.
#[derive(Debug)]
enum Unknown {
    /// Whether the entry after the last one is there, with these changes.
    Entry(EntryKind, Bytes),
    /// How far the next epoch is begun.
    Roll,
}

impl Writer {
    pub(super) fn new(journal: Journal, identity: Identity, position: Position) -> Self {
        Self {
            journal,
            identity,
            position,
            unknown: None,
        }
    }

    /// The last entry.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether nothing is unknown that [`settle`](Self::settle) would have to find out.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.unknown.is_none()
    }

    /// Appends changes; they are stored when it returns. To be [settled](Self::settle) after a
    /// failure.
    ///
    /// Not cancel-safe: drop the writer too.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn append(&mut self, changes: Bytes) -> Result<Position, AppendError> {
        self.create(EntryKind::Changes, changes).await
    }

    /// Appends a sign of life. As [`append`](Self::append).
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn beat(&mut self) -> Result<Position, AppendError> {
        self.create(EntryKind::Heartbeat, Bytes::new()).await
    }

    /// Appends that the process ends, so that the next one need not wait.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn close(mut self) -> Result<(), AppendError> {
        self.create(EntryKind::Closed, Bytes::new()).await?;
        Ok(())
    }

    /// Determines whether the append that failed last was stored, and makes the result final. Must
    /// be called before further changes are prepared.
    ///
    /// # Errors
    /// [`AppendError`]: it is unknown still.
    pub async fn settle(&mut self) -> Result<Settled, AppendError> {
        let (kind, changes) = match &self.unknown {
            None => return Ok(Settled::Nothing),
            Some(Unknown::Roll) => {
                self.roll().await?;
                return Ok(Settled::Nothing);
            }
            Some(Unknown::Entry(kind, changes)) => (*kind, changes.clone()),
        };
        let at = self.position.next();
        // Takes the place, unless the entry has it.
        let beat = EntryKind::Heartbeat;
        let beaten = self.journal.create(&self.identity, at, beat, Bytes::new());
        if beaten.await? == Created::Ours {
            self.advance(at);
            return Ok(Settled::Nothing);
        }
        match self.journal.entry(at).await? {
            Some(found)
                if found.header.writer == self.identity.nonce
                    && found.header.kind == kind
                    && found.changes == changes =>
            {
                self.advance(at);
                Ok(match kind {
                    EntryKind::Changes => Settled::Stored { at, changes },
                    _ => Settled::Nothing,
                })
            }
            Some(_) => Err(AppendError::Fenced),
            None => Err(self.journal.missing(at).into()),
        }
    }

    /// Begins the next epoch, so that the entries of this one can be deleted once a snapshot has
    /// them. Goes on where it failed before.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn roll(&mut self) -> Result<(), AppendError> {
        self.unknown = Some(Unknown::Roll);
        let (base, epoch) = (self.position, self.position.epoch + 1);
        let claimed = self.journal.claim_epoch(epoch, &self.identity).await?;
        ours(claimed)?;
        let opened = Position { epoch, number: 1 };
        let opening = EntryKind::Opening { base: Some(base) };
        for (at, kind) in [(base.next(), EntryKind::Seal), (opened, opening)] {
            let created = self.journal.create(&self.identity, at, kind, Bytes::new());
            ours(created.await?)?;
        }
        self.advance(opened);
        Ok(())
    }

    async fn create(&mut self, kind: EntryKind, changes: Bytes) -> Result<Position, AppendError> {
        debug_assert!(self.unknown.is_none(), "settled first");
        let at = self.position.next();
        self.unknown = Some(Unknown::Entry(kind, changes.clone()));
        let created = self.journal.create(&self.identity, at, kind, changes);
        ours(created.await?)?;
        self.advance(at);
        Ok(at)
    }

    fn advance(&mut self, at: Position) {
        self.position = at;
        self.unknown = None;
    }
}

fn ours(created: Created) -> Result<(), AppendError> {
    match created {
        Created::Ours => Ok(()),
        Created::Theirs => Err(AppendError::Fenced),
    }
}
