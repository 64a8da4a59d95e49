//! File names of a data set in a folder, which are MNIST's.

use std::path::{Path, PathBuf};

use crate::DatasetError;

pub(crate) const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
pub(crate) const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
pub(crate) const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
pub(crate) const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// Possible paths of the file in the folder: plain, or with `.gz`.
pub(crate) fn candidates(dir: &Path, file: &str) -> [PathBuf; 2] {
    [dir.join(file), dir.join(format!("{file}.gz"))]
}

/// The path of the file in the folder; plain is preferred to gzipped.
pub(crate) fn find(dir: &Path, file: &str, remedy: &'static str) -> Result<PathBuf, DatasetError> {
    for path in candidates(dir, file) {
        if path
            .try_exists()
            .map_err(|source| DatasetError::io("read", &path, source))?
        {
            return Ok(path);
        }
    }
    Err(DatasetError::Missing {
        file: file.to_owned(),
        dir: dir.to_owned(),
        remedy,
    })
}
