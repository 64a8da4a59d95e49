//! A bounded cache of pushed data sets on the local disk, with least-recently-used eviction.
//!
//! Cached files are trusted no more than the storage: every load checks sizes and digests against
//! the manifest. The folder may be removed at any time, and several processes may share it.

use super::{FILES, Manifest, PushedError, is_digest, key};
use crate::{Dataset, DatasetError, PixelStore, digest, idx};
use digits_checkpoint::{Storage, manifest::FileDigest};
use sha2::{Digest as _, Sha256};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tokio::{io::AsyncWriteExt as _, sync::Mutex};

/// Bytes of a read from the storage.
const PIECE: u64 = 8 << 20;
/// Prefix of folders of unfinished fetches.
const PARTIAL: &str = "partial-";
/// Age after which such a folder is removed.
const PARTIAL_AGE: Duration = Duration::from_secs(24 * 3600);

/// A folder with pushed data sets.
pub struct Cache {
    dir: PathBuf,
    limit_bytes: u64,
    /// Serializes the loads of this process, so that none evicts what another reads.
    loading: Mutex<()>,
}

impl Cache {
    /// A cache of at most `limit_bytes` in `dir`, which is created when needed.
    #[must_use]
    pub fn new(dir: PathBuf, limit_bytes: u64) -> Self {
        Self {
            dir,
            limit_bytes,
            loading: Mutex::new(()),
        }
    }

    /// Loads the data set of a manifest under the name `name`: from the folder if it is intact
    /// there, else from the storage.
    ///
    /// # Errors
    /// [`PushedError::TooLarge`] when it exceeds the limit of the cache; [`PushedError::Damaged`]
    /// when the files on the storage differ from the manifest; else the storage's or the disk's
    /// error.
    pub async fn load(
        &self,
        storage: &Storage,
        name: &str,
        manifest: &Manifest,
    ) -> Result<Dataset, PushedError> {
        let _loading = self.loading.lock().await;
        let folder = self.dir.clone();
        let _locked = blocking(move || Ok(lock(&folder))).await?;
        let dir = self.dir.join(&manifest.digest);
        if let Some(dataset) = self.cached(&dir, name, manifest).await? {
            return Ok(dataset);
        }
        self.make_room(manifest).await?;
        let partial = self.dir.join(format!(
            "{PARTIAL}{}-{}",
            manifest.digest,
            std::process::id()
        ));
        let fetched = fetch(storage, manifest, &partial).await;
        let (from, to) = (partial.clone(), dir.clone());
        let placed = match fetched {
            Ok(()) => blocking(move || place(&from, &to)).await,
            Err(error) => Err(error),
        };
        if placed.is_err() {
            // It may not exist.
            let _ = tokio::fs::remove_dir_all(&partial).await;
        }
        placed?;
        let (name, manifest) = (name.to_owned(), manifest.clone());
        blocking(move || read(&dir, &name, &manifest)).await
    }

    async fn cached(
        &self,
        dir: &Path,
        name: &str,
        manifest: &Manifest,
    ) -> Result<Option<Dataset>, PushedError> {
        let (dir, name, manifest) = (dir.to_owned(), name.to_owned(), manifest.clone());
        blocking(move || {
            if !dir.exists() {
                return Ok(None);
            }
            match read(&dir, &name, &manifest) {
                Ok(dataset) => {
                    touch(&dir);
                    Ok(Some(dataset))
                }
                Err(error) => {
                    tracing::warn!(%error, "a cached data set is damaged; fetching it again");
                    fs::remove_dir_all(&dir)
                        .map_err(|source| DatasetError::io("remove", &dir, source))?;
                    Ok(None)
                }
            }
        })
        .await
    }

    /// Evicts the least recently used data sets until the new one fits.
    async fn make_room(&self, manifest: &Manifest) -> Result<(), PushedError> {
        let (size_bytes, limit_bytes) = (manifest.size_bytes(), self.limit_bytes);
        if size_bytes > limit_bytes {
            return Err(PushedError::TooLarge {
                size_bytes,
                limit_bytes,
            });
        }
        let dir = self.dir.clone();
        blocking(move || {
            fs::create_dir_all(&dir).map_err(|source| DatasetError::io("create", &dir, source))?;
            let mut cached =
                cached_datasets(&dir).map_err(|source| DatasetError::io("read", &dir, source))?;
            cached.sort_by_key(|dataset| std::cmp::Reverse(dataset.used));
            let mut total: u64 = cached.iter().map(|dataset| dataset.bytes).sum();
            while total > limit_bytes - size_bytes
                && let Some(oldest) = cached.pop()
            {
                fs::remove_dir_all(&oldest.dir)
                    .map_err(|source| DatasetError::io("remove", &oldest.dir, source))?;
                total -= oldest.bytes;
            }
            Ok(())
        })
        .await
    }
}

/// Serializes the loads of all processes that share the folder, until the returned file is dropped.
/// A file system without locks serves one process as well.
fn lock(dir: &Path) -> Option<fs::File> {
    fs::create_dir_all(dir).ok()?;
    let folder = fs::File::open(dir).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

/// A data set in the folder.
struct CachedDataset {
    dir: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// The data sets in the folder. Removes old unfinished fetches; ignores foreign files.
fn cached_datasets(dir: &Path) -> io::Result<Vec<CachedDataset>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let used = entry.metadata()?.modified()?;
        if name.starts_with(PARTIAL) {
            let age = SystemTime::now().duration_since(used).unwrap_or_default();
            if age > PARTIAL_AGE {
                fs::remove_dir_all(entry.path())?;
            }
        } else if is_digest(&name) {
            let mut bytes = 0;
            for file in fs::read_dir(entry.path())? {
                bytes += file?.metadata()?.len();
            }
            all.push(CachedDataset {
                dir: entry.path(),
                bytes,
                used,
            });
        }
    }
    Ok(all)
}

/// Marks a data set as used now. A failure only means an earlier eviction.
fn touch(dir: &Path) {
    let marked = fs::File::open(dir).and_then(|dir| dir.set_modified(SystemTime::now()));
    if let Err(error) = marked {
        tracing::debug!(%error, "a cached data set could not be marked as used");
    }
}

fn place(partial: &Path, dir: &Path) -> Result<(), PushedError> {
    match fs::rename(partial, dir) {
        Ok(()) => Ok(()),
        // Another process fetched the same: its files will be read and verified.
        Err(_) if dir.exists() => {
            fs::remove_dir_all(partial)
                .map_err(|source| DatasetError::io("remove", partial, source))?;
            Ok(())
        }
        Err(source) => Err(DatasetError::io("create", dir, source).into()),
    }
}

async fn fetch(storage: &Storage, manifest: &Manifest, dir: &Path) -> Result<(), PushedError> {
    let io = |source| DatasetError::io("write", dir, source);
    // Left by an earlier process of the same id.
    let _ = tokio::fs::remove_dir_all(dir).await;
    tokio::fs::create_dir_all(dir).await.map_err(io)?;
    for (name, expected) in manifest.files() {
        let key = key(&manifest.digest, name);
        let damaged = |reason: String| PushedError::Damaged {
            digest: manifest.digest.clone(),
            reason,
        };
        match storage.size(&key).await? {
            Some(size) if size == expected.size_bytes => {}
            Some(size) => {
                let size_bytes = expected.size_bytes;
                return Err(damaged(format!(
                    "{name} has {size} bytes, not {size_bytes}"
                )));
            }
            None => return Err(damaged(format!("{name} is missing"))),
        }
        let mut file = tokio::fs::File::create(dir.join(name)).await.map_err(io)?;
        let sha256 = copy(storage, &key, expected, &mut file).await?;
        if sha256 != expected.sha256 {
            let expected = &expected.sha256;
            return Err(damaged(format!(
                "{name} has SHA-256 {sha256}, not {expected}"
            )));
        }
    }
    Ok(())
}

/// Copies a file piece by piece and returns its SHA-256.
async fn copy(
    storage: &Storage,
    key: &str,
    expected: &FileDigest,
    file: &mut tokio::fs::File,
) -> Result<String, PushedError> {
    let io = |source| DatasetError::io("write", key, source);
    let mut hasher = Sha256::new();
    let mut start = 0;
    while start < expected.size_bytes {
        let end = (start + PIECE).min(expected.size_bytes);
        let piece = storage.range(key, start..end).await?;
        hasher.update(&piece);
        file.write_all(&piece).await.map_err(io)?;
        start = end;
    }
    file.flush().await.map_err(io)?;
    Ok(hex::encode(hasher.finalize()))
}

/// Reads the four files of a folder and checks them against the manifest.
fn read(dir: &Path, name: &str, manifest: &Manifest) -> Result<Dataset, PushedError> {
    let damaged = |reason: String| PushedError::Damaged {
        digest: manifest.digest.clone(),
        reason,
    };
    for (file, expected) in manifest.files() {
        let path = dir.join(file);
        let size = fs::metadata(&path)
            .map_err(|source| DatasetError::io("read", &path, source))?
            .len();
        if size != expected.size_bytes {
            return Err(damaged(format!(
                "{file} has {size} bytes, not {}",
                expected.size_bytes
            )));
        }
    }
    let [train_images, train_labels, test_images, test_labels] = FILES.map(|file| dir.join(file));
    let read = |images: &Path, labels: &Path| {
        idx::read_part(images, labels, 0, PixelStore::Memory, &mut Vec::new())
    };
    let train = read(&train_images, &train_labels)?;
    let test = read(&test_images, &test_labels)?;
    let dataset = Dataset::new(name, train, test, manifest.labels.clone())?;
    // The digest is made of those of the four files, so equal digests mean that each file is
    // intact.
    if dataset.digest != manifest.digest {
        let actual = digest::of_each_file(&dataset.train, &dataset.test);
        let differing = manifest.files().into_iter().zip(actual);
        let file = differing
            .into_iter()
            .find(|((_, expected), actual)| expected.sha256 != *actual);
        let file = file.map_or("its labels", |((file, _), _)| file);
        return Err(damaged(format!(
            "{file} has another SHA-256 than in its manifest"
        )));
    }
    let sizes = (dataset.height(), dataset.width());
    let counts = [&dataset.train, &dataset.test].map(|part| part.class_counts(dataset.classes()));
    let recorded = [&manifest.train, &manifest.test].map(|part| part.class_counts.clone());
    if sizes != (manifest.height, manifest.width) || counts != recorded {
        return Err(damaged(
            "its manifest has other sizes or counts than its files".to_owned(),
        ));
    }
    Ok(dataset)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PushedError> + Send + 'static,
) -> Result<T, PushedError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(digits_checkpoint::StorageError::from)?
}
