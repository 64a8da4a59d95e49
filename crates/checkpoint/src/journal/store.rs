//! The objects of a journal: epochs, entries and snapshots, each created once.

use super::entry::{Entry, EntryKind, FORMAT, Header, Position};
use crate::{
    keys,
    storage::{Created, Storage, StorageError, TEXT_LIMIT},
    trainer_name::TrainerName,
};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Largest entry and snapshot that is read.
const LIMIT: u64 = 8 << 30;

/// The journal of one trainer; cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    storage: Storage,
    name: TrainerName,
}

/// Who writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Unique for each process: two processes never write the same bytes.
    pub nonce: String,
    /// The state folder, which one process uses at a time.
    pub folder: String,
    /// Name of the machine, for people.
    pub host: String,
    /// Start of the process, for people.
    pub since: Timestamp,
}

/// The record by which an epoch belongs to a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    format: u32,
    /// Its number.
    pub epoch: u64,
    /// Nonce of the process.
    pub nonce: String,
    /// Its state folder.
    pub folder: String,
    /// Name of its machine, for people.
    pub host: String,
    /// Start of the process, by its clock; nothing depends on it.
    pub since: Timestamp,
}

impl Journal {
    /// The journal of the trainer with this name. The storage must not be [guarded](Storage::guarded) itself.
    #[must_use]
    pub fn new(storage: Storage, name: TrainerName) -> Self {
        Self { storage, name }
    }

    /// Name of the trainer.
    #[must_use]
    pub fn name(&self) -> &TrainerName {
        &self.name
    }

    /// The record of an epoch. Cancel-safe.
    ///
    /// # Errors
    /// The store's error.
    pub async fn epoch(&self, epoch: u64) -> Result<Option<EpochRecord>, StorageError> {
        let key = keys::epoch(&self.name, epoch);
        let Some(bytes) = self.storage.get(&key, TEXT_LIMIT).await? else {
            return Ok(None);
        };
        let unreadable = |reason: String| StorageError::Unreadable {
            key: key.clone(),
            reason,
        };
        let record: EpochRecord =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        match record.format == FORMAT && record.epoch == epoch {
            true => Ok(Some(record)),
            false => Err(unreadable("it is of another format or number".to_owned())),
        }
    }

    /// The newest epoch. Epochs have no gaps, so a listing that misses the newest ones costs some
    /// reads and nothing else. Cancel-safe.
    ///
    /// # Errors
    /// The store's error.
    pub async fn newest_epoch(&self) -> Result<Option<EpochRecord>, StorageError> {
        let listed = self.storage.list(&keys::epochs(&self.name), None).await?;
        let numbers = listed.iter().filter_map(|it| keys::parse_epoch(&it.key));
        let mut number = numbers.max().unwrap_or(0);
        let mut newest = match number {
            0 => None,
            _ => self.epoch(number).await?,
        };
        while let Some(next) = self.epoch(number + 1).await? {
            number += 1;
            newest = Some(next);
        }
        Ok(newest)
    }

    /// Claims an epoch. Idempotent for one process.
    pub(super) async fn claim_epoch(
        &self,
        epoch: u64,
        identity: &Identity,
    ) -> Result<Created, StorageError> {
        let record = EpochRecord {
            format: FORMAT,
            epoch,
            nonce: identity.nonce.clone(),
            folder: identity.folder.clone(),
            host: identity.host.clone(),
            since: identity.since,
        };
        let bytes = serde_json::to_vec_pretty(&record).expect("a record is plain data");
        let key = keys::epoch(&self.name, epoch);
        self.storage.create(&key, bytes.into()).await
    }

    /// The entry at a place. Cancel-safe.
    pub(super) async fn entry(&self, at: Position) -> Result<Option<Entry>, StorageError> {
        let key = keys::journal_entry(&self.name, at.epoch, at.number);
        let found = self.storage.get_bulk(&key, LIMIT).await?;
        let decode = |bytes: Bytes| Entry::decode(&key, at, &bytes);
        found.map(decode).transpose()
    }

    /// The error where an entry is not found that is there, such as for a cache on the way.
    pub(super) fn missing(&self, at: Position) -> StorageError {
        let key = keys::journal_entry(&self.name, at.epoch, at.number);
        StorageError::Missing { key }
    }

    /// Creates an entry. Idempotent for one process and content.
    pub(super) async fn create(
        &self,
        identity: &Identity,
        at: Position,
        kind: EntryKind,
        changes: Bytes,
    ) -> Result<Created, StorageError> {
        let header = Header {
            format: FORMAT,
            writer: identity.nonce.clone(),
            at,
            kind,
        };
        let key = keys::journal_entry(&self.name, at.epoch, at.number);
        let bytes = Entry { header, changes }.encode();
        self.storage.create(&key, bytes).await
    }

    /// Places of all entries that are listed, ascending.
    pub(super) async fn listed_entries(&self) -> Result<Vec<Position>, StorageError> {
        let folder = keys::journal(&self.name);
        self.listed(&folder, keys::parse_journal_entry).await
    }

    /// The place of the last entry of an epoch that is listed.
    pub(super) async fn last_listed(&self, epoch: u64) -> Result<Option<Position>, StorageError> {
        let folder = keys::journal_of(&self.name, epoch);
        let listed = self.listed(&folder, keys::parse_journal_entry).await?;
        Ok(listed.last().copied())
    }

    pub(super) async fn delete_entry(&self, at: Position) -> Result<(), StorageError> {
        let key = keys::journal_entry(&self.name, at.epoch, at.number);
        self.storage.delete(&key).await
    }

    /// Places of all snapshots that are listed, ascending.
    pub(super) async fn listed_snapshots(&self) -> Result<Vec<Position>, StorageError> {
        let folder = keys::snapshots(&self.name);
        self.listed(&folder, keys::parse_snapshot).await
    }

    /// Whether a process has begun it, or is about to: every journal begins with a snapshot.
    ///
    /// # Errors
    /// The store's error.
    pub async fn has_begun(&self) -> Result<bool, StorageError> {
        Ok(!self.listed_snapshots().await?.is_empty())
    }

    /// Stores the database as it is after the entry at `at`. There may be one already: both hold the
    /// same. Idempotent.
    ///
    /// # Errors
    /// The store's error.
    pub async fn put_snapshot(&self, at: Position, bytes: Bytes) -> Result<(), StorageError> {
        let key = keys::snapshot(&self.name, at.epoch, at.number);
        self.storage.create(&key, bytes).await.map(|_| ())
    }

    pub(super) async fn snapshot(&self, at: Position) -> Result<Option<Bytes>, StorageError> {
        let key = keys::snapshot(&self.name, at.epoch, at.number);
        self.storage.get_bulk(&key, LIMIT).await
    }

    pub(super) async fn delete_snapshot(&self, at: Position) -> Result<(), StorageError> {
        let key = keys::snapshot(&self.name, at.epoch, at.number);
        self.storage.delete(&key).await
    }

    async fn listed(
        &self,
        folder: &str,
        parse: impl Fn(&str) -> Option<(u64, u64)>,
    ) -> Result<Vec<Position>, StorageError> {
        let listed = self.storage.list(folder, None).await?;
        let places = listed.iter().filter_map(|it| parse(&it.key));
        let mut places: Vec<_> = places
            .map(|(epoch, number)| Position { epoch, number })
            .collect();
        places.sort_unstable();
        Ok(places)
    }
}
