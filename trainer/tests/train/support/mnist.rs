//! MNIST from the folder that `DIGITS_MNIST_DIR` names.

use digits_dataset::{Dataset, LabelledImages, idx};
use std::path::{Path, PathBuf};

/// The folder of MNIST's four files.
pub fn mnist_dir() -> Option<PathBuf> {
    std::env::var_os("DIGITS_MNIST_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir())
}

/// MNIST from a folder, raw or gzipped.
pub fn mnist(dir: &Path) -> Dataset {
    let file = |name: &str| {
        let raw = dir.join(name);
        if raw.exists() {
            raw
        } else {
            dir.join(format!("{name}.gz"))
        }
    };
    let part = |name: &str| LabelledImages {
        images: idx::read_images(&file(&format!("{name}-images-idx3-ubyte"))).expect("images"),
        labels: idx::read_labels(&file(&format!("{name}-labels-idx1-ubyte"))).expect("labels"),
    };
    let names = (0..10).map(|digit: u8| digit.to_string()).collect();
    Dataset::new("mnist", part("train"), part("t10k"), names).expect("a good data set")
}
