//! Errors of data sets.

use std::io;
use std::path::PathBuf;

/// Why a data set could not be loaded. Every message names the file or data set, the reason and the
/// remedy.
///
/// Messages contain paths of this machine: they are for its log and its user, not for remote
/// clients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// An operation on a file failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The operation: `read`, `write`, `create`, …
        action: &'static str,
        /// File or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A required file is missing.
    #[error("no {file} (nor {file}.gz) in {}: {remedy}", dir.display())]
    Missing {
        /// Name of the file without `.gz`.
        file: String,
        /// The folder that was searched.
        dir: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// A folder has the files of several data sets.
    #[error(
        "{} has the files of several data sets, {}: name one of them, as {}",
        dir.display(),
        sets.join(", "),
        dir.join(sets.first().map_or("", String::as_str)).display()
    )]
    Several {
        /// The folder.
        dir: PathBuf,
        /// What the names of each set's files begin with.
        sets: Vec<String>,
    },
    /// A file is malformed: wrong magic number, truncated, trailing bytes, absurd size, …
    #[error("{file}: {reason}; {remedy}")]
    Format {
        /// Path or name of the file.
        file: String,
        /// What is wrong, with the values.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A file has other content than required.
    #[error(
        "{file}: its content has SHA-256 {actual} where MNIST has {expected}; download it again, or give \
         a data set that is not MNIST a name of its own"
    )]
    Digest {
        /// Path of the file.
        file: String,
        /// The expected digest, in hexadecimal.
        expected: &'static str,
        /// The actual digest.
        actual: String,
    },
    /// The parts of a data set do not fit together.
    #[error("data set {dataset:?}: {reason}")]
    Invalid {
        /// Name of the data set.
        dataset: String,
        /// What does not fit, and the remedy.
        reason: String,
    },
    /// No mirror provided the file.
    #[error(
        "cannot download {file}: {}; check the network, name other mirrors in DIGITS_MNIST_MIRRORS, or put the four files \
         into a folder and name it in DIGITS_MNIST_DIR",
        if failures.is_empty() { "no mirror is configured".to_owned() } else { failures.join("; ") }
    )]
    Download {
        /// Name of the file.
        file: String,
        /// The failure of each mirror.
        failures: Vec<String>,
    },
}

impl DatasetError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source,
        }
    }

    pub(crate) fn format(file: &str, reason: impl Into<String>, remedy: &'static str) -> Self {
        Self::Format {
            file: file.to_owned(),
            reason: reason.into(),
            remedy,
        }
    }
}
