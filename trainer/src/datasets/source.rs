//! The source of a job's data set, and its properties that are known before it is loaded.

use digits_checkpoint::manifest::PictureNormalization;
use digits_dataset::{mnist, numbered_names, pushed::Pinned, synthetic};

/// A data set, as a resolved spec names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatasetSource {
    /// MNIST.
    Mnist,
    /// Synthetic digits.
    Synthetic(synthetic::Options),
    /// A folder of the configuration, by its name.
    Folder(String),
    /// Pushed to the storage.
    Pushed(Pinned),
}

impl DatasetSource {
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

/// Sizes and labels of a data set, known before it is loaded.
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
    /// How a picture becomes an input of a network that is trained on it: as for MNIST with the
    /// built-in data sets, as recorded with a pushed one, unknown for the others.
    pub picture_normalization: PictureNormalization,
}

/// Digest and counts of a data set's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetContent {
    /// SHA-256, in hexadecimal.
    pub digest: String,
    /// Test images.
    pub test: usize,
    /// Training and validation images of each label; empty when they were not counted.
    pub train_counts: Vec<u64>,
    /// Test images of each label; empty when they were not counted.
    pub test_counts: Vec<u64>,
}

/// Names that the configuration cannot give to a folder.
pub const BUILT_IN: [&str; 2] = ["mnist", "synthetic"];

/// The shape of a built-in data set with `train` training images.
pub(super) fn digits(train: usize) -> Shape {
    Shape {
        train,
        height: 28,
        width: 28,
        label_names: numbered_names(10),
        picture_normalization: PictureNormalization::Mnist,
    }
}

/// The data set "synthetic" where a job sets nothing.
pub const DEFAULT_SYNTHETIC: synthetic::Options = synthetic::Options {
    train: 60_000,
    test: 10_000,
    seed: 0,
};
