//! A key-value store with create-if-absent, on a folder or a bucket.
//!
//! Every put is a create-if-absent, whose ambiguous answers [`Storage::create`] resolves. The keys
//! have no meaning here: this crate keeps checkpoints and the serving log in the storage,
//! `digits-dataset` pushed data sets.

mod bucket;
mod create;
mod error;
mod guard;
mod hard_links;
mod open;
mod panics;
mod response;

pub use error::StorageError;
pub use guard::WriteGuard;

use crate::signature::{Keys, Kind};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt as _, path::Path};
use std::{fmt, ops::Range, path::PathBuf, sync::Arc};
use uuid::Uuid;

/// Largest text (manifest, record, tombstone) that is read.
pub(crate) const TEXT_LIMIT: u64 = 1 << 20;
/// Folder of the keys that [`Storage::probe`] creates, which need no permission.
const PROBES: &str = "probe/";

/// A storage; cheap to clone.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    /// The same store with a longer timeout, because a bucket's client limits the time of a request
    /// of any size.
    bulk: Arc<dyn ObjectStore>,
    prefix: Path,
    url: Arc<str>,
    /// The folder, if the storage is one; the store hides staging files of a killed writer.
    folder: Option<Arc<PathBuf>>,
    /// Keys that sign what is written and verify what is read.
    keys: Option<Arc<Keys>>,
    /// Asked before each write.
    guard: Option<Arc<dyn WriteGuard>>,
}

/// Result of a create-if-absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The key holds our bytes.
    Ours,
    /// The key holds other bytes: another writer came first.
    Theirs,
}

/// A key below the prefix, from a listing.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key, with `/` between its parts.
    pub key: String,
    /// When it was written, by the store's clock.
    pub modified: jiff::Timestamp,
}

impl Storage {
    /// A storage on any store, below `prefix`.
    #[must_use]
    pub fn from_store(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        let url = format!("{store}/{prefix}").into();
        Self {
            bulk: Arc::clone(&store),
            store,
            prefix,
            url,
            folder: None,
            keys: None,
            guard: None,
        }
    }

    /// Signs manifests and serving records that are written from now on, if `keys` can, and trusts
    /// only signed ones.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// Writes and deletes only what `guard` allows.
    #[must_use]
    pub fn guarded(mut self, guard: Arc<dyn WriteGuard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Asks the guard whether this process may change `key` now, which need not be a key of the
    /// storage. Without a guard it may.
    ///
    /// # Errors
    /// When it may not, or nobody knows.
    pub async fn check_guard(&self, key: &str) -> Result<(), StorageError> {
        match &self.guard {
            Some(guard) if !key.starts_with(PROBES) => guard.check(key).await,
            _ => Ok(()),
        }
    }

    /// The keys, if this storage is trusted by signatures alone.
    #[must_use]
    pub fn keys(&self) -> Option<&Keys> {
        self.keys.as_deref()
    }

    /// The bytes of a file to be written, signed where there is a key for it.
    pub(crate) fn signed(&self, kind: Kind<'_>, text: Vec<u8>) -> Bytes {
        match self.keys() {
            Some(keys) => keys.sign(kind, text).into(),
            None => text.into(),
        }
    }

    /// Checks the signature of a file, where signatures are required.
    pub(crate) fn verify(
        &self,
        kind: Kind<'_>,
        key: &str,
        bytes: &[u8],
    ) -> Result<(), StorageError> {
        let Some(keys) = self.keys() else {
            return Ok(());
        };
        keys.verify(kind, bytes)
            .map_err(|source| StorageError::Untrusted {
                key: key.to_owned(),
                source,
            })
    }

    /// The address, without secrets.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder, if the storage is one.
    pub(crate) fn folder(&self) -> Option<Arc<PathBuf>> {
        self.folder.clone()
    }

    /// Checks that the storage can be written and that a key created twice fails the second time,
    /// without which two writers could both believe that they wrote one record. A writer does this
    /// at start.
    ///
    /// Leaves nothing behind, unless it is cancelled: then one small key under `probe/` may stay.
    ///
    /// # Errors
    /// [`StorageError::NotExclusive`] when the second creation succeeds;
    /// [`StorageError::NoHardLinks`]; else the store's error.
    pub async fn probe(&self) -> Result<(), StorageError> {
        let key = format!("{PROBES}{}", Uuid::now_v7());
        let verdict = self.probe_at(&key).await;
        let deleted = self.delete(&key).await;
        verdict.and(deleted)
    }

    async fn probe_at(&self, key: &str) -> Result<(), StorageError> {
        self.create(key, Bytes::from_static(b"first")).await?;
        match self.create(key, Bytes::from_static(b"second")).await? {
            Created::Theirs => Ok(()),
            Created::Ours => Err(StorageError::NotExclusive {
                url: self.url.to_string(),
            }),
        }
    }

    /// The bytes of `key`; `None` when it does not exist. Cancel-safe.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`] when there are more than `limit` bytes, without reading them;
    /// else the store's error.
    pub async fn get(&self, key: &str, limit: u64) -> Result<Option<Bytes>, StorageError> {
        self.get_from(&self.store, key, limit).await
    }

    /// As [`get`](Self::get), for values that may take longer than the store's usual timeout.
    pub(crate) async fn get_bulk(
        &self,
        key: &str,
        limit: u64,
    ) -> Result<Option<Bytes>, StorageError> {
        self.get_from(&self.bulk, key, limit).await
    }

    async fn get_from(
        &self,
        store: &Arc<dyn ObjectStore>,
        key: &str,
        limit: u64,
    ) -> Result<Option<Bytes>, StorageError> {
        let result = match panics::caught(store.get(&self.path(key))).await {
            Ok(result) => result,
            Err(error) if response::lacks_bucket(&error) => return Err(self.no_bucket()),
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(StorageError::from_store("read", key, error)),
        };
        if result.meta.size > limit {
            return Err(StorageError::TooLarge {
                key: key.to_owned(),
                size: result.meta.size,
                limit,
            });
        }
        match panics::caught(result.bytes()).await {
            Ok(bytes) => Ok(Some(bytes)),
            // Deleted between open and read.
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(StorageError::from_store("read", key, error)),
        }
    }

    /// Exactly the bytes `range` of `key`, for values too large to hold in memory. Cancel-safe.
    ///
    /// # Errors
    /// [`StorageError::Missing`] when there is no such key; [`StorageError::Unreadable`] when it
    /// ends before the range does; else the store's error.
    pub async fn range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let wanted = range.end.saturating_sub(range.start);
        match panics::caught(self.store.get_range(&self.path(key), range)).await {
            Ok(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Ok(bytes) => Err(StorageError::Unreadable {
                key: key.to_owned(),
                reason: format!("it ends after {} of {wanted} bytes", bytes.len()),
            }),
            Err(error) if response::lacks_bucket(&error) => Err(self.no_bucket()),
            Err(StoreError::NotFound { .. }) => Err(StorageError::Missing {
                key: key.to_owned(),
            }),
            Err(error) => Err(StorageError::from_store("read", key, error)),
        }
    }

    /// Whether a folder has the name of `key`, which can happen only in a folder: reads do not find
    /// the key then, and writes fail. Cancel-safe.
    pub(crate) async fn is_folder(&self, key: &str) -> Result<bool, StorageError> {
        let Some(folder) = self.folder() else {
            return Ok(false);
        };
        let path = folder.join(key);
        Ok(tokio::task::spawn_blocking(move || path.is_dir()).await?)
    }

    /// Whether `key` exists. Cancel-safe.
    pub(crate) async fn exists(&self, key: &str) -> Result<bool, StorageError> {
        Ok(self.size(key).await?.is_some())
    }

    /// Bytes of `key`; `None` when it does not exist. Cancel-safe.
    ///
    /// # Errors
    /// The store's error.
    pub async fn size(&self, key: &str) -> Result<Option<u64>, StorageError> {
        match panics::caught(self.store.head(&self.path(key))).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(StorageError::from_store("read", key, error)),
        }
    }

    /// The keys in `folder`, in no order; only those after `offset` where one is given.
    /// Cancel-safe.
    ///
    /// # Errors
    /// The store's error.
    pub async fn list(
        &self,
        folder: &str,
        offset: Option<&str>,
    ) -> Result<Vec<Entry>, StorageError> {
        let prefix = self.path(folder);
        let found = match offset {
            Some(offset) => self
                .store
                .list_with_offset(Some(&prefix), &self.path(offset)),
            None => self.store.list(Some(&prefix)),
        };
        let metas = found
            .map(|meta| match meta {
                Err(error) if response::lacks_bucket(&error) => Err(error),
                // Deleted while the folder was being read.
                Err(StoreError::NotFound { .. }) => Ok(None),
                other => other.map(Some),
            })
            .try_collect();
        let metas: Vec<_> = match panics::caught(metas).await {
            Ok(metas) => metas,
            Err(error) if response::lacks_bucket(&error) => return Err(self.no_bucket()),
            Err(error) => return Err(StorageError::from_store("listed", folder, error)),
        };
        let entries = metas.into_iter().flatten().filter_map(|meta| {
            let modified = meta.last_modified.timestamp_millis();
            Some(Entry {
                key: self.key(&meta.location)?,
                modified: jiff::Timestamp::from_millisecond(modified).ok()?,
            })
        });
        Ok(entries.collect())
    }

    /// Deletes `key`, if it exists. Not cancel-safe: when dropped, it may be deleted or not.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.check_guard(key).await?;
        match panics::caught(self.store.delete(&self.path(key))).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(StorageError::from_store("deleted", key, error)),
        }
    }

    fn no_bucket(&self) -> StorageError {
        StorageError::NoBucket {
            url: self.url.to_string(),
        }
    }

    fn path(&self, key: &str) -> Path {
        // Our keys need no encoding: hexadecimal digits, model names, fixed names.
        self.prefix.parts().chain(Path::from(key).parts()).collect()
    }

    fn key(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path
            .prefix_match(&self.prefix)?
            .map(|part| part.as_ref().to_owned())
            .collect();
        Some(parts.join("/"))
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Storage").field(&self.url).finish()
    }
}
