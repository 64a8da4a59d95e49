//! The data sets that a job may name: MNIST, the built-in synthetic digits, the folders of the configuration, and
//! those that were pushed to the storage.
//!
//! Clients name them and never give a path. What is asked for is loaded or the job fails: nothing
//! falls back to another data set. Loading blocks, and so does asking for what was pushed: they belong on the worker's
//! thread or on a blocking one.

mod list;
mod not_found;
mod pushed;

pub use list::{Content, Listed};
pub use not_found::{NotFound, told};
pub use pushed::Pushed;

use digits_checkpoint::manifest::PictureNormalization;
use digits_dataset::{
    Dataset, DatasetError,
    mnist::{self, MnistSource},
    numbered_names,
    pushed::{Pinned, PushedError, Reference},
    synthetic,
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of pixels that are kept in memory between jobs.
const KEPT_BYTES_AT_MOST: usize = 512 << 20;

/// A data set, as a resolved job asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// MNIST.
    Mnist,
    /// Drawn digits.
    Synthetic(synthetic::Options),
    /// A folder of the configuration, by its name.
    Folder(String),
    /// Pushed to the storage.
    Pushed(Pinned),
}

impl Wanted {
    /// Its name, without a digest.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Mnist => mnist::NAME,
            Self::Synthetic(_) => synthetic::NAME,
            Self::Folder(name) => name,
            Self::Pushed(pinned) => pinned.name.as_str(),
        }
    }
}

/// What must be known of a data set before it is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Images for training and validation.
    pub train: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// Names of the labels.
    pub label_names: Vec<String>,
    /// How a picture becomes an input of a network that is trained on it: the built-in ones are drawn as MNIST is,
    /// a pushed one says it, of others nothing is known.
    pub picture_normalization: PictureNormalization,
}

/// A folder of IDX files that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// What clients call it.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// A sentence about it.
    pub description: String,
}

/// All data sets of this server.
pub struct Catalog {
    mnist: MnistSource,
    folders: Vec<(Folder, Shape, Content)>,
    pushed: Option<Pushed>,
    kept: Mutex<Vec<(Wanted, Arc<Dataset>)>>,
}

/// Names that the configuration cannot give to a folder.
pub const BUILT_IN: [&str; 2] = ["mnist", "synthetic"];

impl Catalog {
    /// Reads every folder once, so that one that is wrong is found before a client names it. Blocks.
    ///
    /// # Errors
    /// [`DatasetError`] of the first folder that cannot be loaded.
    pub fn open(mnist: MnistSource, folders: Vec<Folder>) -> Result<Self, DatasetError> {
        let mut known = Vec::with_capacity(folders.len());
        for folder in folders {
            let dataset = digits_dataset::folder::load(&folder.name, &folder.path)?;
            let content = Content {
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
            kept: Mutex::new(Vec::new()),
        })
    }

    /// Adds what was pushed to a storage.
    #[must_use]
    pub fn with_pushed(self, pushed: Pushed) -> Self {
        Self {
            pushed: Some(pushed),
            ..self
        }
    }

    /// Names of those of this server.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let folders = self.folders.iter().map(|(folder, ..)| folder.name.as_str());
        BUILT_IN.into_iter().chain(folders).collect()
    }

    /// What `name` stands for from now on: `None` when it is one of this server, which the name alone means; for a
    /// pushed one its name with the whole digest. Blocks.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn pin(&self, name: &str) -> Result<Option<Pinned>, NotFound> {
        if BUILT_IN.contains(&name) {
            return Ok(None);
        }
        let configured = self.folders.iter().any(|(folder, ..)| folder.name == name);
        let Some(pushed) = &self.pushed else {
            return if configured {
                Ok(None)
            } else {
                Err(self.unknown())
            };
        };
        let found = name
            .parse::<Reference>()
            .and_then(|reference| pushed.pin(&reference));
        match found {
            Ok(pinned) if configured => Err(NotFound::Refused(format!(
                "is both a data set of the trainer's configuration and a pushed one: say {}@{} for the pushed one, or \
                 have the other renamed",
                pinned.name,
                &pinned.digest[..12]
            ))),
            Ok(pinned) => Ok(Some(pinned)),
            Err(PushedError::Name { .. } | PushedError::Unknown { .. }) if configured => Ok(None),
            Err(PushedError::Name { .. }) if name.contains('@') => Err(NotFound::Refused(
                "must be NAME, or NAME@DIGEST with 8 to 64 hexadecimal digits".to_owned(),
            )),
            Err(PushedError::Name { .. }) => Err(self.unknown()),
            Err(PushedError::Unknown { .. }) if !name.contains('@') => Err(self.unknown()),
            Err(error) => {
                tracing::warn!(%error, dataset = name, "a pushed data set was asked for and cannot be had");
                Err(told(&error))
            }
        }
    }

    fn unknown(&self) -> NotFound {
        NotFound::Refused(format!(
            "there is no such data set here: use {} or one that was pushed",
            self.names().join(", ")
        ))
    }

    /// The sizes of a data set. Blocks for a pushed one.
    ///
    /// # Errors
    /// [`NotFound`] when there is none.
    pub fn shape(&self, wanted: &Wanted) -> Result<Shape, NotFound> {
        match wanted {
            Wanted::Mnist => Ok(digits(60_000)),
            Wanted::Synthetic(options) => Ok(digits(options.train)),
            Wanted::Folder(name) => self
                .folders
                .iter()
                .find(|(folder, ..)| folder.name == *name)
                .map(|(_, shape, _)| shape.clone())
                .ok_or_else(|| self.unknown()),
            Wanted::Pushed(pinned) => {
                let pushed = self.pushed.as_ref().ok_or_else(|| self.unknown())?;
                let manifest = pushed.manifest(pinned).map_err(|error| told(&error))?;
                Ok(Shape {
                    // A manifest is within what a computer can hold.
                    train: manifest.train.count as usize,
                    height: manifest.height,
                    width: manifest.width,
                    label_names: manifest.labels.clone(),
                    picture_normalization: manifest.picture_normalization,
                })
            }
        }
    }

    /// The data set itself, from memory where it is kept. Blocks: for seconds, or for minutes where it must be
    /// fetched.
    ///
    /// # Errors
    /// [`PushedError`]; [`told`] makes a sentence for the client of it.
    pub fn load(&self, wanted: &Wanted) -> Result<Arc<Dataset>, PushedError> {
        if let Some(dataset) = self.kept(wanted) {
            return Ok(dataset);
        }
        let dataset = Arc::new(self.read(wanted)?);
        self.keep(wanted, &dataset);
        Ok(dataset)
    }

    fn read(&self, wanted: &Wanted) -> Result<Dataset, PushedError> {
        match wanted {
            Wanted::Mnist => self.read_mnist(),
            Wanted::Synthetic(options) => Ok(synthetic::generate(options)),
            Wanted::Folder(name) => {
                let found = self
                    .folders
                    .iter()
                    .find(|(folder, ..)| folder.name == *name);
                match found {
                    Some((folder, ..)) => Ok(digits_dataset::folder::load(name, &folder.path)?),
                    None => Err(DatasetError::Invalid {
                        dataset: name.clone(),
                        reason: "the configuration no longer names it".to_owned(),
                    }
                    .into()),
                }
            }
            Wanted::Pushed(pinned) => match &self.pushed {
                Some(pushed) => pushed.load(pinned),
                None => Err(PushedError::Unknown {
                    reference: pinned.to_string(),
                }),
            },
        }
    }

    /// From this machine, else as it was pushed to the storage, else from a mirror. All three are the same bytes:
    /// each is held against MNIST's own digests.
    fn read_mnist(&self) -> Result<Dataset, PushedError> {
        let here = MnistSource {
            download: false,
            ..self.mnist.clone()
        };
        let error = match mnist::load(&here, &mut |_| ()) {
            Ok(dataset) => return Ok(dataset),
            Err(error) => error,
        };
        let named = self.mnist.dir.is_some();
        if named && !matches!(error, DatasetError::Missing { .. }) {
            // Someone said where it is, and it is damaged: that is not to be passed over.
            return Err(error.into());
        }
        if let Some(pushed) = &self.pushed {
            match pushed.load_content(&mnist::content_digest(), mnist::NAME) {
                Ok(Some(dataset)) => {
                    tracing::info!("MNIST is not on this machine: it was taken from the storage");
                    return Ok(dataset);
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "MNIST cannot be had from the storage"),
            }
        }
        if named || !self.mnist.download {
            return Err(error.into());
        }
        let mut told = 0;
        let downloaded = mnist::load(&self.mnist, &mut |progress| {
            // A line per eight megabytes.
            if progress.received_bytes >> 23 != told {
                told = progress.received_bytes >> 23;
                tracing::info!(
                    file = progress.file,
                    received_bytes = progress.received_bytes,
                    "downloading MNIST"
                );
            }
        });
        Ok(downloaded?)
    }

    fn kept(&self, wanted: &Wanted) -> Option<Arc<Dataset>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let index = kept.iter().position(|(known, _)| known == wanted)?;
        // The newest is the last.
        let entry = kept.remove(index);
        let dataset = entry.1.clone();
        kept.push(entry);
        Some(dataset)
    }

    fn keep(&self, wanted: &Wanted, dataset: &Arc<Dataset>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((wanted.clone(), dataset.clone()));
        while kept
            .iter()
            .map(|(_, dataset)| bytes(dataset))
            .sum::<usize>()
            > KEPT_BYTES_AT_MOST
        {
            kept.remove(0);
        }
    }
}

/// Of a data set of digits.
fn digits(train: usize) -> Shape {
    Shape {
        train,
        height: 28,
        width: 28,
        label_names: numbered_names(10),
        picture_normalization: PictureNormalization::Mnist,
    }
}

/// What "synthetic" is when a job says no more.
pub const DEFAULT_SYNTHETIC: synthetic::Options = synthetic::Options {
    train: 60_000,
    test: 10_000,
    seed: 0,
};

fn bytes(dataset: &Dataset) -> usize {
    dataset.train.images.pixels.len() + dataset.test.images.pixels.len()
}
