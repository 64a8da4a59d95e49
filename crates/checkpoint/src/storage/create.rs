//! Creates a key if it is absent, and finds out whose bytes it holds after an ambiguous answer.

use super::{Created, Storage, StorageError, hard_links, panics, response};
use bytes::Bytes;
use object_store::{Error as StoreError, PutMode, PutOptions};
use std::{sync::Arc, time::Duration};

/// Attempts at a write whose answer is ambiguous.
const CREATE_ATTEMPTS: u32 = 5;
/// Pause before the second attempt; grows with each.
const CREATE_BACKOFF: Duration = Duration::from_millis(20);
/// Larger writes use the store with the longer timeout, and are compared piece by piece.
const BULK_BYTES: usize = 16 << 20;

impl Storage {
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
                Err(error) if response::lacks_bucket(&error) => return Err(self.no_bucket()),
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
