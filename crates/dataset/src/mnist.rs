//! Loads MNIST from a folder, from the cache, or from a public mirror.
//!
//! The uncompressed content is always checked against the digests of the original distribution, so
//! "mnist" is never another data set. (Y. LeCun, C. Cortes, C. Burges: "The MNIST database of
//! handwritten digits".)

mod download;
mod published;
mod source;

pub use published::content_digest;
pub use source::{MIRRORS, MnistSource, Progress};

use std::path::Path;

use crate::{Dataset, DatasetError, Images, LabelledImages, digest, files, idx, numbered_names};
use published::{FILES, Published};

/// Name of the data set.
pub const NAME: &str = "mnist";

const DIR_REMEDY: &str =
    "put MNIST's four files there, or unset DIGITS_MNIST_DIR to have them downloaded";
const CACHE_REMEDY: &str =
    "name a folder with MNIST's four files in DIGITS_MNIST_DIR, or allow the download";

/// Loads MNIST: 60,000 images for training and validation and 10,000 for the test, 28×28, labels
/// "0" to "9".
///
/// Blocks the calling thread: about a second for gzipped files, longer for a download, which calls
/// `progress` after each 64 KiB or less. Several processes may load at once: one downloads, the
/// others wait.
///
/// # Errors
///
/// [`DatasetError`] of every kind but `Invalid`.
pub fn load(
    source: &MnistSource,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Dataset, DatasetError> {
    let [train_images, train_labels, test_images, test_labels] = FILES;
    let train = LabelledImages {
        images: obtain(train_images, source, progress, images)?,
        labels: obtain(train_labels, source, progress, labels)?,
    };
    let test = LabelledImages {
        images: obtain(test_images, source, progress, images)?,
        labels: obtain(test_labels, source, progress, labels)?,
    };
    Dataset::new(NAME, train, test, numbered_names(10))
}

/// A file's content, read and verified.
fn obtain<T>(
    file: Published,
    source: &MnistSource,
    progress: &mut dyn FnMut(Progress<'_>),
    read: fn(&Path, Published) -> Result<T, DatasetError>,
) -> Result<T, DatasetError> {
    if let Some(dir) = &source.dir {
        return read(&files::find(dir, file.name, DIR_REMEDY)?, file);
    }
    let cached =
        files::find(&source.cache, file.name, CACHE_REMEDY).and_then(|path| read(&path, file));
    if cached.is_ok() || !source.download {
        return cached;
    }
    read(&download::fetch(file, source, progress)?, file)
}

fn images(path: &Path, file: Published) -> Result<Images, DatasetError> {
    let images = idx::read_images(path)?;
    let actual = digest::of_parts(&[&idx::image_header(&images), &images.pixels]);
    verify(path, file, actual)?;
    Ok(images)
}

fn labels(path: &Path, file: Published) -> Result<Vec<u16>, DatasetError> {
    let labels = idx::read_labels(path)?;
    verify(
        path,
        file,
        digest::of_parts(&[&idx::encode_labels(&labels)]),
    )?;
    Ok(labels)
}

fn verify(path: &Path, file: Published, actual: String) -> Result<(), DatasetError> {
    if actual == file.sha256 {
        return Ok(());
    }
    Err(DatasetError::Digest {
        file: path.display().to_string(),
        expected: file.sha256,
        actual,
    })
}

#[cfg(test)]
mod tests;
