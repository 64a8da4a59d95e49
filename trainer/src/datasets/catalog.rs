//! Finds and loads the data sets that a job may name.

use super::{
    error::{UnusableDataset, client_message},
    pushed::Pushed,
    source::{BUILT_IN, DatasetContent, DatasetSource, Shape, digits},
};
use crate::similar::similar;
use digits_checkpoint::manifest::PictureNormalization;
use digits_dataset::{
    Dataset, DatasetError, Handling, folder,
    mnist::{self, MnistSource},
    pushed::{Pinned, PushedError, Reference},
    synthetic,
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of pixels that stay in memory between jobs.
const MAX_CACHED_BYTES: usize = 512 << 20;

/// A folder of IDX files that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Name by which clients refer to the data set.
    pub name: String,
    /// Folder of the data set.
    pub path: PathBuf,
    /// A sentence about it.
    pub description: String,
}

/// All data sets of this server.
pub struct Catalog {
    mnist: MnistSource,
    pub(super) folders: Vec<(Folder, Shape, DatasetContent)>,
    pub(super) pushed: Option<Pushed>,
    /// The least recently used one first.
    cached: Mutex<Vec<(DatasetSource, Arc<Dataset>)>>,
}

impl Catalog {
    /// Reads every folder once, so that a bad one is found at the start. Blocks.
    ///
    /// # Errors
    /// [`DatasetError`] of the first folder that cannot be loaded.
    pub fn open(mnist: MnistSource, folders: Vec<Folder>) -> Result<Self, DatasetError> {
        let mut known = Vec::with_capacity(folders.len());
        for folder in folders {
            let read = folder::read(&folder.name, &folder.path, &Handling::default())?;
            for finding in read.findings {
                tracing::warn!(dataset = folder.name, %finding, "unusual data set");
            }
            let dataset = read.dataset;
            let content = DatasetContent {
                test: dataset.test.images.count,
                train_counts: dataset.train.class_counts(dataset.classes()),
                test_counts: dataset.test.class_counts(dataset.classes()),
                digest: dataset.digest.clone(),
            };
            let shape = Shape {
                train: dataset.train.images.count,
                height: dataset.height(),
                width: dataset.width(),
                label_names: dataset.label_names,
                picture_normalization: PictureNormalization::None,
            };
            known.push((folder, shape, content));
        }
        Ok(Self {
            mnist,
            folders: known,
            pushed: None,
            cached: Mutex::new(Vec::new()),
        })
    }

    /// Adds the data sets pushed to a storage.
    #[must_use]
    pub fn with_pushed(self, pushed: Pushed) -> Self {
        Self {
            pushed: Some(pushed),
            ..self
        }
    }

    /// Names of the built-in and the configured data sets.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let folders = self.folders.iter().map(|(folder, ..)| folder.name.as_str());
        BUILT_IN.into_iter().chain(folders).collect()
    }

    /// Pins the name of a pushed data set to the digest of its content; `None` for a built-in or
    /// configured one. Blocks.
    ///
    /// # Errors
    /// [`UnusableDataset`].
    pub fn pin(&self, name: &str) -> Result<Option<Pinned>, UnusableDataset> {
        if BUILT_IN.contains(&name) {
            return Ok(None);
        }
        let configured = self.folders.iter().any(|(folder, ..)| folder.name == name);
        let Some(pushed) = &self.pushed else {
            return if configured {
                Ok(None)
            } else {
                Err(self.unknown(name))
            };
        };
        let found = name
            .parse::<Reference>()
            .and_then(|reference| pushed.pin(&reference));
        match found {
            Ok(pinned) if configured => Err(UnusableDataset::Refused(format!(
                "is both a configured and a pushed data set: use {}@{} for the pushed one, or rename the other in the \
                 trainer's configuration",
                pinned.name,
                &pinned.digest[..12]
            ))),
            Ok(pinned) => Ok(Some(pinned)),
            Err(PushedError::Name { .. } | PushedError::Unknown { .. }) if configured => Ok(None),
            Err(PushedError::Name { .. }) if name.contains('@') => Err(UnusableDataset::Refused(
                "must be NAME, or NAME@DIGEST with 8 to 64 hexadecimal digits".to_owned(),
            )),
            Err(PushedError::Name { .. }) => Err(self.unknown(name)),
            Err(PushedError::Unknown { .. }) if !name.contains('@') => Err(self.unknown(name)),
            Err(error) => {
                tracing::warn!(%error, dataset = name, "a pushed data set cannot be used");
                Err(client_message(&error))
            }
        }
    }

    /// For a name that no data set has; a similar one is suggested.
    fn unknown(&self, name: &str) -> UnusableDataset {
        let own = self.names();
        let pushed = self.pushed.as_ref();
        let pushed = pushed.and_then(|it| it.names().ok()).unwrap_or_default();
        let pushed = pushed.iter().map(|it| it.as_str());
        let hint = match similar(name, own.iter().copied().chain(pushed)) {
            Some(known) => format!("; did you mean {known:?}?"),
            None => format!(": use {} or a pushed one", own.join(", ")),
        };
        UnusableDataset::Refused(format!("there is no such data set{hint}"))
    }

    /// The sizes of a data set. Blocks for a pushed one.
    ///
    /// # Errors
    /// [`UnusableDataset`] when there is none.
    pub fn shape(&self, source: &DatasetSource) -> Result<Shape, UnusableDataset> {
        match source {
            DatasetSource::Mnist => Ok(digits(60_000)),
            DatasetSource::Synthetic(options) => Ok(digits(options.train)),
            DatasetSource::Folder(name) => self
                .folders
                .iter()
                .find(|(folder, ..)| folder.name == *name)
                .map(|(_, shape, _)| shape.clone())
                .ok_or_else(|| self.unknown(name)),
            DatasetSource::Pushed(pinned) => {
                let unknown = || self.unknown(pinned.name.as_str());
                let pushed = self.pushed.as_ref().ok_or_else(unknown)?;
                let manifest = pushed
                    .manifest(pinned)
                    .map_err(|error| client_message(&error))?;
                Ok(Shape {
                    // Manifests are checked to fit in memory.
                    train: manifest.train.count as usize,
                    height: manifest.height,
                    width: manifest.width,
                    label_names: manifest.labels.clone(),
                    picture_normalization: pinned
                        .picture_normalization
                        .unwrap_or(manifest.picture_normalization),
                })
            }
        }
    }

    /// The data set itself, from memory where it is cached. Blocks: for seconds, or for minutes
    /// where it is fetched.
    ///
    /// # Errors
    /// [`PushedError`]; [`client_message`] is the sentence for the client.
    pub fn load(&self, source: &DatasetSource) -> Result<Arc<Dataset>, PushedError> {
        if let Some(dataset) = self.cached(source) {
            return Ok(dataset);
        }
        let dataset = Arc::new(self.read(source)?);
        self.cache(source, &dataset);
        Ok(dataset)
    }

    /// As [`load`](Self::load), but `None` for MNIST that would have to be downloaded.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn at_hand(&self, source: &DatasetSource) -> Result<Option<Arc<Dataset>>, PushedError> {
        if *source != DatasetSource::Mnist {
            return self.load(source).map(Some);
        }
        if let Some(dataset) = self.cached(source) {
            return Ok(Some(dataset));
        }
        match self.mnist_at_hand() {
            Ok(dataset) => {
                let dataset = Arc::new(dataset);
                self.cache(source, &dataset);
                Ok(Some(dataset))
            }
            Err(PushedError::Dataset(DatasetError::Missing { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, source: &DatasetSource) -> Result<Dataset, PushedError> {
        match source {
            DatasetSource::Mnist => self.read_mnist(),
            DatasetSource::Synthetic(options) => Ok(synthetic::generate(options)),
            DatasetSource::Folder(name) => {
                let found = self
                    .folders
                    .iter()
                    .find(|(folder, ..)| folder.name == *name);
                match found {
                    Some((found, ..)) => Ok(folder::load(name, &found.path)?),
                    None => Err(DatasetError::Invalid {
                        dataset: name.clone(),
                        reason: "the configuration no longer names it".to_owned(),
                    }
                    .into()),
                }
            }
            DatasetSource::Pushed(pinned) => match &self.pushed {
                Some(pushed) => pushed.load(pinned),
                None => Err(PushedError::Unknown {
                    reference: pinned.to_string(),
                }),
            },
        }
    }

    /// MNIST from this machine, else as pushed to the storage; always checked against MNIST's own
    /// digests.
    fn mnist_at_hand(&self) -> Result<Dataset, PushedError> {
        let here = MnistSource {
            download: false,
            ..self.mnist.clone()
        };
        let error = match mnist::load(&here, &mut |_| ()) {
            Ok(dataset) => return Ok(dataset),
            Err(error) => error,
        };
        if self.mnist.dir.is_some() && !matches!(error, DatasetError::Missing { .. }) {
            // The configured folder is damaged: an error, not a reason to download.
            return Err(error.into());
        }
        if let Some(pushed) = &self.pushed {
            match pushed.load_content(&mnist::content_digest(), mnist::NAME) {
                Ok(Some(dataset)) => {
                    tracing::info!("MNIST is not on this machine; loaded from the storage");
                    return Ok(dataset);
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "MNIST cannot be loaded from the storage"),
            }
        }
        Err(error.into())
    }

    /// MNIST that is at hand, else from a mirror.
    fn read_mnist(&self) -> Result<Dataset, PushedError> {
        match self.mnist_at_hand() {
            Err(_) if self.mnist.dir.is_none() && self.mnist.download => {}
            found => return found,
        }
        let mut logged = 0;
        let downloaded = mnist::load(&self.mnist, &mut |progress| {
            // One line per 8 MiB.
            if progress.received_bytes >> 23 != logged {
                logged = progress.received_bytes >> 23;
                tracing::info!(
                    file = progress.file,
                    received_bytes = progress.received_bytes,
                    "downloading MNIST"
                );
            }
        });
        Ok(downloaded?)
    }

    fn cached(&self, source: &DatasetSource) -> Option<Arc<Dataset>> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let index = cached.iter().position(|(known, _)| known == source)?;
        // The most recently used one is the last.
        let entry = cached.remove(index);
        let dataset = entry.1.clone();
        cached.push(entry);
        Some(dataset)
    }

    fn cache(&self, source: &DatasetSource, dataset: &Arc<Dataset>) {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.push((source.clone(), dataset.clone()));
        while cached
            .iter()
            .map(|(_, dataset)| bytes(dataset))
            .sum::<usize>()
            > MAX_CACHED_BYTES
        {
            cached.remove(0);
        }
    }
}

fn bytes(dataset: &Dataset) -> usize {
    dataset.train.images.pixels.len() + dataset.test.images.pixels.len()
}
