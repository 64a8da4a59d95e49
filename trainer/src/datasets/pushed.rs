//! Pushed data sets: found on the storage by name, and fetched into a local cache.
//!
//! Every call blocks on the storage: for the worker's thread and blocking threads, not for threads
//! of the runtime.

use backon::{BlockingRetryable as _, ExponentialBuilder};
use digits_checkpoint::Storage;
use digits_dataset::{
    Dataset,
    pushed::{
        self, Cache, DatasetName, ListPosition, Listed, Manifest, Pinned, PushedError, Reference,
    },
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Retries of a failing storage, and the pause before the first; it doubles.
const MAX_RETRIES: usize = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Manifests and names that are cached; beyond that the cache is emptied.
const MAX_CACHED: usize = 1_000;

/// The pushed data sets of a storage.
pub struct Pushed {
    storage: Storage,
    runtime: tokio::runtime::Handle,
    cache: Cache,
    max_bytes: u64,
    /// Cache of what cannot change: committed manifests, and pinned names that have existed.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    manifests: HashMap<String, Arc<Manifest>>,
    pinned: HashSet<Pinned>,
}

impl Pushed {
    /// The data sets on `storage`, read on `runtime` and kept in `cache`; more than `max_bytes` are
    /// refused.
    #[must_use]
    pub fn new(
        storage: Storage,
        runtime: tokio::runtime::Handle,
        cache: Cache,
        max_bytes: u64,
    ) -> Self {
        Self {
            storage,
            runtime,
            cache,
            max_bytes,
            known: Mutex::default(),
        }
    }

    /// Pins a reference to the content that it means now. Does not retry.
    ///
    /// # Errors
    /// [`PushedError`]; [`PushedError::TooLarge`] beyond the limit.
    pub fn pin(&self, reference: &Reference) -> Result<Pinned, PushedError> {
        if let Ok(pinned) = reference.to_string().parse::<Pinned>()
            && self.known().pinned.contains(&pinned)
        {
            return Ok(pinned);
        }
        let pinned = self
            .runtime
            .block_on(pushed::resolve(&self.storage, reference))?;
        self.usable(&pinned)?;
        self.known().pinned.insert(pinned.clone());
        Ok(pinned)
    }

    /// The manifest of a data set.
    ///
    /// # Errors
    /// [`PushedError`], after retries of errors that may pass.
    pub fn manifest(&self, pinned: &Pinned) -> Result<Arc<Manifest>, PushedError> {
        retry_with_backoff(|| self.usable(pinned))
    }

    /// The data set itself, verified.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub fn load(&self, pinned: &Pinned) -> Result<Dataset, PushedError> {
        let name = pinned.name.as_str();
        retry_with_backoff(|| {
            let manifest = self.usable(pinned)?;
            let loading = self.cache.load(&self.storage, name, &manifest);
            self.runtime.block_on(loading)
        })
    }

    /// The data set with this digest, pushed under any name, as `name`; `None` when there is none.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub fn load_content(&self, digest: &str, name: &str) -> Result<Option<Dataset>, PushedError> {
        retry_with_backoff(|| {
            self.runtime.block_on(async {
                match pushed::manifest(&self.storage, digest).await? {
                    Some(manifest) => self
                        .cache
                        .load(&self.storage, name, &manifest)
                        .await
                        .map(Some),
                    None => Ok(None),
                }
            })
        })
    }

    /// At most `limit` pushed data sets after a position, or from the first one on.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn list(
        &self,
        after: Option<&ListPosition>,
        limit: usize,
    ) -> Result<Vec<Listed>, PushedError> {
        self.runtime
            .block_on(pushed::list_after(&self.storage, after, limit))
    }

    /// The names of all pushed data sets.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn names(&self) -> Result<Vec<DatasetName>, PushedError> {
        self.runtime.block_on(pushed::names(&self.storage))
    }

    fn usable(&self, pinned: &Pinned) -> Result<Arc<Manifest>, PushedError> {
        if let Some(manifest) = self.known().manifests.get(&pinned.digest) {
            return Ok(Arc::clone(manifest));
        }
        let found = pushed::manifest(&self.storage, &pinned.digest);
        let manifest = self
            .runtime
            .block_on(found)?
            .ok_or_else(|| PushedError::Unknown {
                reference: pinned.to_string(),
            })?;
        let size_bytes = manifest.size_bytes();
        if size_bytes > self.max_bytes {
            return Err(PushedError::TooLarge {
                size_bytes,
                limit_bytes: self.max_bytes,
            });
        }
        let manifest = Arc::new(manifest);
        let mut known = self.known();
        if known.manifests.len() >= MAX_CACHED || known.pinned.len() >= MAX_CACHED {
            *known = Known::default();
        }
        known
            .manifests
            .insert(pinned.digest.clone(), Arc::clone(&manifest));
        Ok(manifest)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Repeats `attempt` while the storage fails in a way that may pass.
fn retry_with_backoff<T>(
    attempt: impl FnMut() -> Result<T, PushedError>,
) -> Result<T, PushedError> {
    let backoff = ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_factor(2.0)
        .with_max_times(MAX_RETRIES);
    attempt
        .retry(backoff)
        .when(PushedError::is_temporary)
        .notify(|error, pause| {
            tracing::warn!(%error, ?pause, "a pushed data set cannot be read; retrying");
        })
        .call()
}
