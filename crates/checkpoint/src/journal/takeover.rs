//! Takes the journal over: wins the next epoch, brings a replica of the database up to date, seals
//! what was before, and opens the epoch.

use super::{
    entry::{Entry, EntryKind, Position},
    store::{Identity, Journal},
    writer::Writer,
};
use crate::storage::{Created, StorageError};
use bytes::Bytes;
use futures::future::try_join_all;
use std::time::Duration;

/// Entries that are read at once; it starts with one and doubles.
const READ_AHEAD: u64 = 32;
/// Attempts to begin with a snapshot, and the pause between them.
const RESTORE_ATTEMPTS: u32 = 3;
const RESTORE_PAUSE: Duration = Duration::from_millis(200);

/// A copy of the database, to which entries are applied.
pub trait Replica {
    /// Why it cannot be changed.
    type Error;

    /// The entry after which it is as it is; `None` when it was never in a journal.
    fn position(&self) -> Option<Position>;

    /// Applies the changes of the entry at `at`, the next one.
    ///
    /// # Errors
    /// When they cannot be applied.
    fn apply(&mut self, at: Position, changes: &Bytes) -> Result<(), Self::Error>;

    /// Takes note of an entry without changes, the next one.
    fn pass(&mut self, at: Position);

    /// Replaces everything by the snapshot after `at`.
    ///
    /// # Errors
    /// When it cannot be used, or must not be.
    fn restore(&mut self, at: Position, snapshot: Bytes) -> Result<(), Self::Error>;

    /// Everything, as the snapshot at `at`, from where the journal begins.
    ///
    /// # Errors
    /// When it cannot be read, or must not begin a journal.
    fn begin(&mut self, at: Position) -> Result<Bytes, Self::Error>;
}

/// Why a takeover failed.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError<E> {
    /// Another process has taken over meanwhile.
    #[error("another process has taken the journal over at the same time")]
    Lost,
    /// The replica has changes that the journal does not have.
    #[error(
        "the database is at entry {database}, which the journal on the storage does not have: the storage was exchanged or restored from an older backup"
    )]
    Ahead {
        /// Position of the replica.
        database: Position,
    },
    /// Entries are missing that no snapshot contains.
    #[error("entries of the journal are missing on the storage after {after}")]
    Gap {
        /// The last entry that is there; `None` where there is no snapshot either.
        after: Position,
    },
    /// No snapshot can be read.
    #[error("the journal has no snapshot on the storage")]
    NoSnapshot,
    /// The replica failed.
    #[error("{0}")]
    Replica(E),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Takes the journal over for this process: when it returns, the replica has every change that any
/// process was answered to be stored, and every other process has lost its next number.
///
/// It asks nobody: whether the last writer may be presumed dead is the caller's to decide. Repeated
/// after a failure, it wins a further epoch.
///
/// # Errors
/// [`TakeOverError`].
pub async fn take_over<R: Replica>(
    journal: &Journal,
    identity: &Identity,
    replica: &mut R,
) -> Result<Writer, TakeOverError<R::Error>> {
    let newest = journal.newest_epoch().await?;
    let epoch = newest.map_or(0, |record| record.epoch) + 1;
    if journal.claim_epoch(epoch, identity).await? == Created::Theirs {
        return Err(TakeOverError::Lost);
    }
    let takeover = TakeOver {
        journal,
        identity,
        epoch,
    };
    let base = match takeover.newest_opened().await? {
        Some(last) => Some(takeover.seal(last, replica).await?),
        None => {
            takeover.begin(replica).await?;
            None
        }
    };
    let opened = Position { epoch, number: 1 };
    let opening = EntryKind::Opening { base };
    let created = journal.create(identity, opened, opening, Bytes::new());
    if created.await? == Created::Theirs {
        return Err(TakeOverError::Lost);
    }
    replica.pass(opened);
    Ok(Writer::new(journal.clone(), identity.clone(), opened))
}

struct TakeOver<'a> {
    journal: &'a Journal,
    identity: &'a Identity,
    /// The epoch that was claimed for it.
    epoch: u64,
}

impl TakeOver<'_> {
    /// The newest epoch before the claimed one that was opened. Those after it are sealed at their
    /// first number, so that they cannot be opened any more.
    async fn newest_opened<E>(&self) -> Result<Option<u64>, TakeOverError<E>> {
        for before in (1..self.epoch).rev() {
            let first = Position {
                epoch: before,
                number: 1,
            };
            if self.create_seal(first).await? == Created::Theirs
                && self.expect(first).await?.header.kind != EntryKind::Seal
            {
                return Ok(Some(before));
            }
        }
        Ok(None)
    }

    /// Begins a journal that has no opened epoch yet.
    async fn begin<R: Replica>(&self, replica: &mut R) -> Result<(), TakeOverError<R::Error>> {
        let start = Position {
            epoch: self.epoch,
            number: 0,
        };
        // That of an epoch that was never opened is no entry of any journal.
        if let Some(database) = replica.position()
            && database.number > 0
        {
            return Err(TakeOverError::Ahead { database });
        }
        let snapshot = replica.begin(start).map_err(TakeOverError::Replica)?;
        Ok(self.journal.put_snapshot(start, snapshot).await?)
    }

    /// Applies everything up to the end of epoch `last` and seals it there; the end.
    async fn seal<R: Replica>(
        &self,
        last: u64,
        replica: &mut R,
    ) -> Result<Position, TakeOverError<R::Error>> {
        let mut end = match self.catch_up(last, replica).await? {
            Some(end) => end,
            None => self.restore(last, replica).await?,
        };
        loop {
            if self.create_seal(end.next()).await? == Created::Ours {
                return Ok(end);
            }
            let entry = self.expect(end.next()).await?;
            if entry.header.kind == EntryKind::Seal {
                return Ok(end);
            }
            end = end.next();
            advance(replica, end, &entry)?;
        }
    }

    /// Begins with the newest snapshot of which all entries after it are there. Once more where
    /// none is: a listing missed a newer one, or the last writer has just deleted them.
    async fn restore<R: Replica>(
        &self,
        last: u64,
        replica: &mut R,
    ) -> Result<Position, TakeOverError<R::Error>> {
        let database = replica.position();
        let mut failure = TakeOverError::NoSnapshot;
        for _ in 0..RESTORE_ATTEMPTS {
            for at in self.journal.listed_snapshots().await?.into_iter().rev() {
                // Of a process that has taken over since; or the journal is a backup that has less
                // than its snapshots. Then this epoch must not have the places of theirs.
                if at.epoch >= self.epoch {
                    return Err(TakeOverError::Lost);
                }
                if let Some(database) = database.filter(|database| *database > at) {
                    failure = TakeOverError::Ahead { database };
                    break;
                }
                match self.restore_from(at, last, replica).await {
                    Ok(Some(end)) => return Ok(end),
                    // Deleted since it was listed: then there are newer ones.
                    Ok(None) => {}
                    Err(error @ (TakeOverError::Ahead { .. } | TakeOverError::Gap { .. })) => {
                        failure = error;
                    }
                    Err(error) => return Err(error),
                }
            }
            tokio::time::sleep(RESTORE_PAUSE).await;
        }
        Err(failure)
    }

    /// Begins with the snapshot at `at`; `None` if it is gone.
    async fn restore_from<R: Replica>(
        &self,
        at: Position,
        last: u64,
        replica: &mut R,
    ) -> Result<Option<Position>, TakeOverError<R::Error>> {
        if at.epoch > last {
            return Err(TakeOverError::Ahead { database: at });
        }
        let Some(snapshot) = self.journal.snapshot(at).await? else {
            return Ok(None);
        };
        let restored = replica.restore(at, snapshot);
        restored.map_err(TakeOverError::Replica)?;
        match self.catch_up(last, replica).await? {
            Some(end) => Ok(Some(end)),
            None => {
                let after = replica.position().unwrap_or(at);
                Err(TakeOverError::Gap { after })
            }
        }
    }

    /// Applies the entries after the replica's position up to what is there of epoch `last`; the
    /// end. `None` where entries before it are gone, so that only a snapshot helps.
    async fn catch_up<R: Replica>(
        &self,
        last: u64,
        replica: &mut R,
    ) -> Result<Option<Position>, TakeOverError<R::Error>> {
        let Some(mut at) = replica.position() else {
            return Ok(None);
        };
        if at.epoch > last {
            return Err(TakeOverError::Ahead { database: at });
        }
        if at.number > 0 && self.journal.entry(at).await?.is_none() {
            return match at.epoch == last {
                true => Err(TakeOverError::Ahead { database: at }),
                false => Ok(None),
            };
        }
        loop {
            let sealed = self.apply_epoch(&mut at, replica).await?;
            if at.epoch == last {
                return Ok(Some(at));
            }
            if !sealed {
                return Ok(None);
            }
            match self.next_opened(at, last).await? {
                Some(opened) => at = opened,
                None => return Ok(None),
            }
            replica.pass(at);
        }
    }

    /// Applies the entries after `at` of its epoch; whether a seal follows.
    async fn apply_epoch<R: Replica>(
        &self,
        at: &mut Position,
        replica: &mut R,
    ) -> Result<bool, TakeOverError<R::Error>> {
        let mut window = 1;
        loop {
            let places = (1..=window).map(|ahead| Position {
                number: at.number + ahead,
                ..*at
            });
            let read = places.map(|place| self.journal.entry(place));
            for found in try_join_all(read).await? {
                match found {
                    None => return Ok(false),
                    Some(entry) if entry.header.kind == EntryKind::Seal => return Ok(true),
                    Some(entry) => {
                        *at = at.next();
                        advance(replica, *at, &entry)?;
                    }
                }
            }
            window = READ_AHEAD.min(window * 2);
        }
    }

    /// The first entry of the epoch that continues from `end`, up to `last`.
    async fn next_opened(
        &self,
        end: Position,
        last: u64,
    ) -> Result<Option<Position>, StorageError> {
        for epoch in end.epoch + 1..=last {
            let first = Position { epoch, number: 1 };
            match self.journal.entry(first).await?.map(|it| it.header.kind) {
                Some(EntryKind::Seal) => {}
                // Of another base where `end` is before a seal of a process that lost its epoch
                // while it slept.
                Some(EntryKind::Opening { base }) if base == Some(end) => return Ok(Some(first)),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn create_seal(&self, at: Position) -> Result<Created, StorageError> {
        let created = self
            .journal
            .create(self.identity, at, EntryKind::Seal, Bytes::new());
        created.await
    }

    /// The entry that was found in the place of a seal. If it is gone, a process that took over later
    /// has deleted it.
    async fn expect<E>(&self, at: Position) -> Result<Entry, TakeOverError<E>> {
        self.journal.entry(at).await?.ok_or(TakeOverError::Lost)
    }
}

fn advance<R: Replica>(
    replica: &mut R,
    at: Position,
    entry: &Entry,
) -> Result<(), TakeOverError<R::Error>> {
    match entry.header.kind {
        EntryKind::Changes => replica
            .apply(at, &entry.changes)
            .map_err(TakeOverError::Replica),
        _ => {
            replica.pass(at);
            Ok(())
        }
    }
}
