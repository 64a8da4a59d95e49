//! Pushed data sets: found on the storage by name, and fetched into a cache of this trainer.
//!
//! All of it blocks on the storage: for the worker's thread and blocking threads, not for those of the runtime.

use digits_checkpoint::Storage;
use digits_dataset::{
    Dataset,
    pushed::{self, Cache, Listed, Manifest, Pinned, PushedError, Reference},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Times that a failing storage is tried by a job, and the pause before the second; it doubles.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Manifests and names that are remembered; then all are forgotten.
const REMEMBERED: usize = 1_000;

/// The pushed data sets of a storage.
pub struct Pushed {
    storage: Storage,
    runtime: tokio::runtime::Handle,
    cache: Cache,
    max_bytes: u64,
    /// What cannot change any more: a committed manifest, and that a name has meant a digest.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    manifests: HashMap<String, Arc<Manifest>>,
    pinned: HashSet<Pinned>,
}

impl Pushed {
    /// Those on `storage`, asked by way of `runtime` and kept in `cache`; one of more than `max_bytes` is refused.
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

    /// What a reference means now, as far as this trainer can use it. Asks once.
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

    /// What a data set says about itself.
    ///
    /// # Errors
    /// [`PushedError`], after several attempts where trying again can help.
    pub fn manifest(&self, pinned: &Pinned) -> Result<Arc<Manifest>, PushedError> {
        again_and_again(|| self.usable(pinned))
    }

    /// The data set itself, verified.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub fn load(&self, pinned: &Pinned) -> Result<Dataset, PushedError> {
        let name = pinned.name.as_str();
        again_and_again(|| {
            let manifest = self.usable(pinned)?;
            let loading = self.cache.load(&self.storage, name, &manifest);
            self.runtime.block_on(loading)
        })
    }

    /// The data set of a digest under whatever name it was pushed, as `name`; `None` when it was not.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest).
    pub fn load_content(&self, digest: &str, name: &str) -> Result<Option<Dataset>, PushedError> {
        again_and_again(|| {
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

    /// All of them.
    ///
    /// # Errors
    /// What the storage said.
    pub fn list(&self) -> Result<Vec<Listed>, PushedError> {
        self.runtime.block_on(pushed::list(&self.storage))
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
        if known.manifests.len() >= REMEMBERED || known.pinned.len() >= REMEMBERED {
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

/// Tries until it works, a few times and with growing pauses.
fn again_and_again<T>(
    mut attempt: impl FnMut() -> Result<T, PushedError>,
) -> Result<T, PushedError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(error) if error.is_temporary() => {
                tracing::warn!(%error, "a pushed data set cannot be read; trying again");
            }
            done => return done,
        }
        thread::sleep(pause);
        pause *= 2;
    }
    attempt()
}
