//! Loads a user's data set from a folder of IDX files.
//!
//! | file | content |
//! | --- | --- |
//! | `train-images-idx3-ubyte` | images for training and validation: IDX, u8, count × height × width |
//! | `train-labels-idx1-ubyte` | their labels: IDX, u8 or (big-endian) i16 or i32, count |
//! | `t10k-images-idx3-ubyte` | images for the test, of the same height and width |
//! | `t10k-labels-idx1-ubyte` | their labels |
//! | `labels.txt` | optional: the labels' names |
//! | `<prefix>-mapping.txt` | optional: EMNIST's names of the labels |
//!
//! The names are MNIST's, whatever the number of images and the type of the elements, or as others
//! write them: `train-images.idx3-ubyte` (Kaggle, also in a folder of that name),
//! `emnist-letters-test-images-idx3-ubyte`, `qmnist-train-labels-idx2-int`. Each file may be
//! gzipped and end in `.gz`; if both exist, the plain one is read. Labels count from 0, or from
//! another number that becomes 0, and are then below 1,000. Sides have 1 to 4,096 pixels, a file up
//! to 2 GiB uncompressed.
//!
//! `labels.txt` is UTF-8: line *n*, counted from 0, names label *n*. White space around a name and
//! empty lines at the end do not count; names are not empty, differ from each other, and are as
//! many as there are labels, which may be more than occur in the images. Without it the labels are
//! named by their numbers in the files, up to the greatest that occurs.
//!
//! Other files of the folder are ignored.

use std::path::Path;

use crate::files::{self, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS};
use crate::{Assembled, Dataset, DatasetError, Handling, LabelledImages, Parts, assemble, idx};

mod names;

pub use names::{LABELS_FILE, NamedLabels, name_labels};

const REMEDY: &str = "name the files as MNIST's are named, or correct the path; a folder of pictures for each label is \
     read by `digits dataset push`";
const NO_TEST: &str = "add the test part, or keep a share of the training images for the test with --test-fraction of \
     `digits dataset push`";

/// Loads the data set of the folder; `name` is what clients call it.
///
/// # Errors
///
/// As [`read`].
pub fn load(name: &str, dir: &Path) -> Result<Dataset, DatasetError> {
    Ok(read(name, dir, &Handling::default())?.dataset)
}

/// Whether the folder has files of images or labels, by their names; or, if `path` does not exist,
/// whether its folder has files that begin with its last part.
///
/// # Errors
///
/// [`DatasetError::Io`], and [`DatasetError::Several`].
pub fn is_one(path: &Path) -> Result<bool, DatasetError> {
    Ok(!files::at(path)?.1.is_empty())
}

/// Reads a folder, or of the data sets in a folder the one whose files begin with the last part of
/// the path.
///
/// # Errors
///
/// [`DatasetError::Missing`], [`DatasetError::Several`], [`DatasetError::Io`],
/// [`DatasetError::Format`] of a file, [`DatasetError::Invalid`] when they do not fit together.
pub fn read(name: &str, path: &Path, handling: &Handling) -> Result<Assembled, DatasetError> {
    let (dir, set) = files::at(path)?;
    let mut findings = Vec::new();
    let first = handling.first_label.unwrap_or(0);
    let mut part = |images, labels, remedy| -> Result<LabelledImages, DatasetError> {
        let images = set.path(&dir, images, remedy)?;
        let labels = set.path(&dir, labels, remedy)?;
        idx::read_part(&images, &labels, first, handling.store, &mut findings)
    };
    let mut train = part(TRAIN_IMAGES, TRAIN_LABELS, REMEDY)?;
    let mut test = match set.has_test() || handling.test_fraction.is_none() {
        true => Some(part(TEST_IMAGES, TEST_LABELS, NO_TEST)?),
        false => None,
    };
    let all = || {
        train
            .labels
            .iter()
            .chain(test.iter().flat_map(|it| &it.labels))
    };
    let occurring = match (all().min(), all().max()) {
        (Some(&smallest), Some(&greatest)) => smallest..=greatest,
        _ => 0..=0,
    };
    let named = name_labels(&dir, &set.prefix, handling.first_label, occurring)?;
    let shift = named.first.saturating_sub(first);
    for label in [Some(&mut train), test.as_mut()]
        .into_iter()
        .flatten()
        .flat_map(|part| &mut part.labels)
    {
        *label -= shift;
    }
    findings.extend(named.finding);
    let parts = Parts {
        train,
        test,
        label_names: named.names,
        named_emnist: set.prefix.starts_with("emnist"),
    };
    assemble(name, parts, handling, findings)
}

#[cfg(test)]
mod tests;
