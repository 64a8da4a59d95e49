//! MNIST: from a folder, from the cache, or from a public mirror.
//!
//! Wherever the files come from, their uncompressed content is checked against the digests of the original
//! distribution, so "mnist" is never another data set. (Y. LeCun, C. Cortes, C. Burges: "The MNIST database of
//! handwritten digits".)

mod download;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::files::{self, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS};
use crate::{Dataset, DatasetError, Images, LabelledImages, digest, idx, numbered_names};

/// Name of the data set.
pub const NAME: &str = "mnist";
/// Mirrors that are tried when no others are named, in this order.
pub const MIRRORS: [&str; 3] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
    "https://raw.githubusercontent.com/fgnt/mnist/master",
];

const DIR_REMEDY: &str =
    "put MNIST's four files there, or unset DIGITS_MNIST_DIR to have them downloaded";
const CACHE_REMEDY: &str =
    "name a folder with MNIST's four files in DIGITS_MNIST_DIR, or allow the download";

/// Where MNIST may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MnistSource {
    /// A folder with the four files, plain or gzipped. When given, nothing else is tried.
    pub dir: Option<PathBuf>,
    /// Folder that keeps what was downloaded; made when it is needed.
    pub cache: PathBuf,
    /// Whether what the cache does not have may be downloaded.
    pub download: bool,
    /// Addresses of folders with the four `.gz` files, tried in this order.
    pub mirrors: Vec<String>,
}

impl Default for MnistSource {
    /// What the environment says: `dir` from `DIGITS_MNIST_DIR`; `cache` is `digits/mnist` in `XDG_CACHE_HOME`, else in
    /// `~/.cache`; `mirrors` from `DIGITS_MNIST_MIRRORS` (separated by commas), else [`MIRRORS`]; with download. A
    /// variable that is empty counts as not set.
    fn default() -> Self {
        Self::from_variables(|name| std::env::var_os(name))
    }
}

impl MnistSource {
    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        // The XDG specification has relative paths ignored.
        let absolute = |name| {
            set(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let cache_home = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(std::env::temp_dir);
        let named: Vec<String> = set("DIGITS_MNIST_MIRRORS")
            .map(|list| list.to_string_lossy().into_owned())
            .iter()
            .flat_map(|list| list.split(','))
            .map(|mirror| mirror.trim().to_owned())
            .filter(|mirror| !mirror.is_empty())
            .collect();
        Self {
            dir: set("DIGITS_MNIST_DIR").map(PathBuf::from),
            cache: cache_home.join("digits").join("mnist"),
            download: true,
            mirrors: if named.is_empty() {
                MIRRORS.map(str::to_owned).to_vec()
            } else {
                named
            },
        }
    }
}

/// How far the download of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Name of the file, with `.gz`.
    pub file: &'a str,
    /// Address of the mirror, without user and password.
    pub mirror: &'a str,
    /// Bytes that are there, those of an earlier attempt included. Goes back when a mirror has to be left.
    pub received_bytes: u64,
    /// Bytes that the file has, when the mirror says so.
    pub total_bytes: Option<u64>,
}

/// One of the four files.
#[derive(Clone, Copy, Debug)]
struct Published {
    /// Without `.gz`.
    name: &'static str,
    /// SHA-256 of the uncompressed file.
    sha256: &'static str,
    /// Length of the uncompressed file.
    bytes: u64,
}

const FILES: [Published; 4] = [
    Published {
        name: TRAIN_IMAGES,
        sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        bytes: 47_040_016,
    },
    Published {
        name: TRAIN_LABELS,
        sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        bytes: 60_008,
    },
    Published {
        name: TEST_IMAGES,
        sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        bytes: 7_840_016,
    },
    Published {
        name: TEST_LABELS,
        sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        bytes: 10_008,
    },
];

/// The digest of MNIST's content ([`Dataset::content_digest`]), without loading it.
#[must_use]
pub fn content_digest() -> String {
    digest::of_files(&FILES.map(|file| file.sha256), &numbered_names(10))
}

/// Loads MNIST: 60,000 images for training and validation and 10,000 for the test, 28×28, labels "0" to "9".
///
/// Blocks the calling thread: about a second from gzipped files, longer while a download lasts, of which `progress` is
/// told after each 64 KiB or less. Several processes may load at once: one downloads, the others wait.
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

/// A file's content, read and verified, from the place that the source says.
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
