//! The data sets that a job may name: MNIST, the built-in synthetic digits, and the folders of the configuration.
//!
//! Clients name them and never give a path. What is asked for is loaded or the job fails: nothing
//! falls back to another data set. Loading blocks; it belongs on the worker's thread.

use digits_dataset::{
    Dataset, DatasetError,
    mnist::{self, MnistSource},
    numbered_names, synthetic,
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

/// A line of ListDatasets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What clients call it.
    pub name: String,
    /// A sentence about it.
    pub description: String,
    /// Its sizes.
    pub shape: Shape,
}

/// All data sets of this server.
pub struct Catalog {
    mnist: MnistSource,
    folders: Vec<(Folder, Shape)>,
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
            let shape = Shape {
                train: dataset.train.images.count,
                height: dataset.height(),
                width: dataset.width(),
                label_names: dataset.label_names,
            };
            known.push((folder, shape));
        }
        Ok(Self {
            mnist,
            folders: known,
            kept: Mutex::new(Vec::new()),
        })
    }

    /// All of them, built-in ones first.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let built_in = [
            (
                Wanted::Mnist,
                "handwritten digits of LeCun, Cortes and Burges: 60,000 to train on and 10,000 to test",
            ),
            (
                Wanted::Synthetic(DEFAULT_SYNTHETIC),
                "digits drawn by this program, as many as asked for; the same seed draws the same ones",
            ),
        ];
        let mut listed: Vec<Listed> = BUILT_IN
            .into_iter()
            .zip(built_in)
            .filter_map(|(name, (wanted, description))| {
                Some(Listed {
                    name: name.to_owned(),
                    description: description.to_owned(),
                    shape: self.shape(&wanted)?,
                })
            })
            .collect();
        listed.extend(self.folders.iter().map(|(folder, shape)| Listed {
            name: folder.name.clone(),
            description: folder.description.clone(),
            shape: shape.clone(),
        }));
        listed
    }

    /// Names of all of them.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let folders = self.folders.iter().map(|(folder, _)| folder.name.as_str());
        BUILT_IN.into_iter().chain(folders).collect()
    }

    /// The sizes of a data set, or `None` for a folder that the configuration does not name.
    #[must_use]
    pub fn shape(&self, wanted: &Wanted) -> Option<Shape> {
        let digits = |train: usize| Shape {
            train,
            height: 28,
            width: 28,
            label_names: numbered_names(10),
        };
        match wanted {
            Wanted::Mnist => Some(digits(60_000)),
            Wanted::Synthetic(options) => Some(digits(options.train)),
            Wanted::Folder(name) => self
                .folders
                .iter()
                .find(|(folder, _)| folder.name == *name)
                .map(|(_, shape)| shape.clone()),
        }
    }

    /// The data set itself, from memory where it is kept. Blocks: for seconds, or for minutes where MNIST must
    /// be downloaded.
    ///
    /// # Errors
    /// [`DatasetError`].
    pub fn load(&self, wanted: &Wanted) -> Result<Arc<Dataset>, DatasetError> {
        if let Some(dataset) = self.kept(wanted) {
            return Ok(dataset);
        }
        let dataset = Arc::new(self.read(wanted)?);
        self.keep(wanted, &dataset);
        Ok(dataset)
    }

    fn read(&self, wanted: &Wanted) -> Result<Dataset, DatasetError> {
        match wanted {
            Wanted::Mnist => {
                let mut told = 0;
                mnist::load(&self.mnist, &mut |progress| {
                    // A line per eight megabytes.
                    if progress.received_bytes >> 23 != told {
                        told = progress.received_bytes >> 23;
                        tracing::info!(
                            file = progress.file,
                            received_bytes = progress.received_bytes,
                            "downloading MNIST"
                        );
                    }
                })
            }
            Wanted::Synthetic(options) => Ok(synthetic::generate(options)),
            Wanted::Folder(name) => {
                let found = self.folders.iter().find(|(folder, _)| folder.name == *name);
                match found {
                    Some((folder, _)) => digits_dataset::folder::load(name, &folder.path),
                    None => Err(DatasetError::Invalid {
                        dataset: name.clone(),
                        reason: "the configuration no longer names it".to_owned(),
                    }),
                }
            }
        }
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

/// What "synthetic" is when a job says no more.
pub const DEFAULT_SYNTHETIC: synthetic::Options = synthetic::Options {
    train: 60_000,
    test: 10_000,
    seed: 0,
};

fn bytes(dataset: &Dataset) -> usize {
    dataset.train.images.pixels.len() + dataset.test.images.pixels.len()
}
