//! A key-value store with create-if-absent, on a folder or a bucket.
//!
//! Every put is a create-if-absent, whose ambiguous answers [`Storage::create`] resolves. The keys
//! have no meaning here: this crate keeps checkpoints and the serving log in the storage,
//! `digits-dataset` pushed data sets.

mod bucket;
mod error;
mod guard;
mod hard_links;
mod open;
mod panics;

pub use error::StorageError;
pub use guard::WriteGuard;

use crate::signature::{Keys, Kind};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, path::Path,
};
use std::{fmt, ops::Range, path::PathBuf, sync::Arc, time::Duration};
use uuid::Uuid;

/// Attempts at a write whose answer is ambiguous.
const CREATE_ATTEMPTS: u32 = 5;
/// Pause before the second attempt; grows with each.
const CREATE_BACKOFF: Duration = Duration::from_millis(20);
/// Largest text (manifest, record, tombstone) that is read.
pub(crate) const TEXT_LIMIT: u64 = 1 << 20;
/// Larger writes use the store with the longer timeout, and are compared piece by piece.
const BULK_BYTES: usize = 16 << 20;
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

    /// Creates `key` with `bytes`, and returns whose bytes it holds afterwards.
    ///
    /// "Already exists" is ambiguous (a retry inside the store's client can meet its own first
    /// write; a conflict may mean that nothing was written), and so is a lost connection. So after
    /// any other answer than success the key is read back: with our bytes the write succeeded,
    /// without bytes it is retried, with other bytes another writer won. Bytes that must differ
    /// from another writer's carry a nonce. `key` consists of letters, digits, `-`, `_`, inner `.`
    /// and `/`.
    ///
    /// Not cancel-safe: when dropped or failed, the bytes may exist or still appear.
    ///
    /// # Errors
    /// The store's error, after five attempts if a retry could help.
    pub async fn create(&self, key: &str, bytes: Bytes) -> Result<Created, StorageError> {
        self.create_of(key, &[bytes]).await
    }

    /// [`create`](Self::create) with the bytes of all parts, one after another.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn create_of(&self, key: &str, parts: &[Bytes]) -> Result<Created, StorageError> {
        self.check_guard(key).await?;
        let path = self.path(key);
        let pieces = pieces(parts);
        let store = if length(parts) > BULK_BYTES {
            &self.bulk
        } else {
            &self.store
        };
        let mut attempt = 1;
        loop {
            let options = PutOptions::from(PutMode::Create);
            let payload = pieces.iter().cloned().collect();
            let answer = store.put_opts(&path, payload, options);
            let error = match panics::caught(answer).await {
                Ok(_) => return Ok(Created::Ours),
                // With these errors certainly nothing was written.
                Err(
                    error @ (StoreError::PermissionDenied { .. }
                    | StoreError::Unauthenticated { .. }
                    | StoreError::NotImplemented { .. }
                    | StoreError::NotSupported { .. }
                    | StoreError::InvalidPath { .. }),
                ) => return Err(StorageError::from_store("written", key, error)),
                Err(error) => error,
            };
            match self.compare(key, &pieces).await {
                Ok(Some(true)) => return Ok(Created::Ours),
                Ok(Some(false)) => return Ok(Created::Theirs),
                Ok(None) | Err(_) if attempt == CREATE_ATTEMPTS => {
                    return Err(self.not_written(key, error).await);
                }
                Ok(None) | Err(_) => {}
            }
            tokio::time::sleep(CREATE_BACKOFF * attempt).await;
            attempt += 1;
        }
    }

    /// The error of a write that failed at every attempt.
    async fn not_written(&self, key: &str, error: StoreError) -> StorageError {
        if let Some(folder) = self.folder() {
            if let Ok(true) = self.is_folder(key).await {
                let path = folder.join(key);
                return StorageError::NameTaken { path };
            }
            let path = Arc::clone(&folder);
            let tried = tokio::task::spawn_blocking(move || hard_links::unsupported(&path));
            if let Ok(Some(source)) = tried.await {
                let path = folder.to_path_buf();
                return StorageError::NoHardLinks { path, source };
            }
        }
        StorageError::from_store("written", key, error)
    }

    /// Whether `key` holds exactly the pieces; `None` when it does not exist.
    async fn compare(&self, key: &str, pieces: &[Bytes]) -> Result<Option<bool>, StorageError> {
        let length = length(pieces);
        if length > BULK_BYTES {
            return self.compare_pieces(key, pieces).await;
        }
        match self.get(key, length as u64).await {
            Ok(found) => Ok(found.map(|found| found.iter().eq(pieces.iter().flatten()))),
            Err(StorageError::TooLarge { .. }) => Ok(Some(false)),
            Err(error) => Err(error),
        }
    }

    /// As [`compare`](Self::compare), without a second copy of all bytes.
    async fn compare_pieces(
        &self,
        key: &str,
        pieces: &[Bytes],
    ) -> Result<Option<bool>, StorageError> {
        match self.size(key).await? {
            None => return Ok(None),
            Some(size) if size != length(pieces) as u64 => return Ok(Some(false)),
            Some(_) => {}
        }
        let mut start = 0;
        for piece in pieces {
            let end = start + piece.len() as u64;
            if self.range(key, start..end).await? != *piece {
                return Ok(Some(false));
            }
            start = end;
        }
        Ok(Some(true))
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
                // Deleted while the folder was being read.
                Err(StoreError::NotFound { .. }) => Ok(None),
                other => other.map(Some),
            })
            .try_collect();
        let metas: Vec<_> = panics::caught(metas)
            .await
            .map_err(|error| StorageError::from_store("listed", folder, error))?;
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

/// The parts in pieces of at most [`BULK_BYTES`]: a client may copy a piece while it sends it.
fn pieces(parts: &[Bytes]) -> Vec<Bytes> {
    let cut = |part: &Bytes| {
        let part = part.clone();
        let starts = (0..part.len()).step_by(BULK_BYTES);
        starts.map(move |start| part.slice(start..part.len().min(start + BULK_BYTES)))
    };
    parts.iter().flat_map(cut).collect()
}

fn length(parts: &[Bytes]) -> usize {
    parts.iter().map(Bytes::len).sum()
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Storage").field(&self.url).finish()
    }
}
