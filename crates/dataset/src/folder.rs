//! Loads a user's data set from a folder of IDX files.
//!
//! | file | content |
//! | --- | --- |
//! | `train-images-idx3-ubyte` | images for training and validation: IDX, u8, count × height × width |
//! | `train-labels-idx1-ubyte` | their labels: IDX, u8 or (big-endian) i16 or i32, count |
//! | `t10k-images-idx3-ubyte` | images for the test, of the same height and width |
//! | `t10k-labels-idx1-ubyte` | their labels |
//! | `labels.txt` | optional: the labels' names |
//!
//! The first four always have MNIST's names, whatever the number of images and the type of the
//! elements. Each may be gzipped and end in `.gz`; if both exist, the plain one is read. Labels
//! count from 0 and are below 1,000. Sides have 1 to 4,096 pixels, a file up to 2 GiB uncompressed.
//!
//! `labels.txt` is UTF-8: line *n*, counted from 0, names label *n*. White space around a name and
//! empty lines at the end do not count; names are not empty, differ from each other, and are as
//! many as there are labels, which may be more than occur in the images. Without it the labels are
//! named "0", "1", … up to the greatest that occurs.
//!
//! Other files of the folder are ignored.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::files::{self, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS};
use crate::{Dataset, DatasetError, LabelledImages, MAX_CLASSES, idx, numbered_names};

/// Name of the file with the names of the labels.
pub const LABELS_FILE: &str = "labels.txt";
/// Maximum size of [`LABELS_FILE`] in bytes.
const MAX_LABELS_BYTES: u64 = 256 << 10;
const REMEDY: &str =
    "name the files as MNIST's are named, or correct the path of the data set in the configuration";

/// Loads the data set of the folder; `name` is what clients call it.
///
/// # Errors
///
/// [`DatasetError::Missing`], [`DatasetError::Io`], [`DatasetError::Format`] of a file,
/// [`DatasetError::Invalid`] when they do not fit together.
pub fn load(name: &str, dir: &Path) -> Result<Dataset, DatasetError> {
    let train = part(dir, TRAIN_IMAGES, TRAIN_LABELS)?;
    let test = part(dir, TEST_IMAGES, TEST_LABELS)?;
    let label_names = match label_names(&dir.join(LABELS_FILE))? {
        Some(names) => names,
        None => {
            let greatest = train.labels.iter().chain(&test.labels).max();
            numbered_names(greatest.map_or(0, |&label| usize::from(label) + 1))
        }
    };
    Dataset::new(name, train, test, label_names)
}

fn part(dir: &Path, images: &str, labels: &str) -> Result<LabelledImages, DatasetError> {
    idx::read_part(
        &files::find(dir, images, REMEDY)?,
        &files::find(dir, labels, REMEDY)?,
    )
}

/// The names in the file, or `None` when there is no file.
fn label_names(path: &Path) -> Result<Option<Vec<String>>, DatasetError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DatasetError::io("read", path, error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_LABELS_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| DatasetError::io("read", path, source))?;
    let fault = |reason: String| {
        DatasetError::format(
            &path.display().to_string(),
            reason,
            "give one name a line, or remove the file",
        )
    };
    if bytes.len() as u64 > MAX_LABELS_BYTES {
        return Err(fault(format!("it has more than {MAX_LABELS_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| fault("it is not UTF-8".to_owned()))?;
    let text = text.trim_start_matches('\u{feff}').trim_end();
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    if names.len() > MAX_CLASSES {
        return Err(fault(format!(
            "it has {} lines, above {MAX_CLASSES}",
            names.len()
        )));
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests;
