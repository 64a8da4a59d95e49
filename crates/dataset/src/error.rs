//! What can be wrong with a data set.

use std::io;
use std::path::PathBuf;

/// Why a data set could not be had. Every message names the file (or the data set), the reason and what to do.
///
/// Messages hold paths of this machine: they are for its log and its user, not for a remote client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create`, …
        action: &'static str,
        /// File or folder.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// A file that must be there is not.
    #[error("no {file} (nor {file}.gz) in {}: {remedy}", dir.display())]
    Missing {
        /// Name of the file without `.gz`.
        file: String,
        /// Where it was looked for.
        dir: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// A file is not what it should be: wrong magic number, truncated, trailing bytes, absurd size, …
    #[error("{file}: {reason}; {remedy}")]
    Format {
        /// Path or name of the file.
        file: String,
        /// What is wrong, with figures.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A file has not the content that it must have.
    #[error(
        "{file}: its content has SHA-256 {actual} where MNIST has {expected}; fetch it anew, or give a data set that is \
         not MNIST a name of its own"
    )]
    Digest {
        /// Path of the file.
        file: String,
        /// The digest that it should have, in hexadecimal.
        expected: &'static str,
        /// The one it has.
        actual: String,
    },
    /// The parts of a data set do not fit together.
    #[error("data set {dataset:?}: {reason}")]
    Invalid {
        /// Name of the data set.
        dataset: String,
        /// What does not fit, and what to do.
        reason: String,
    },
    /// No mirror gave the file.
    #[error(
        "cannot download {file}: {}; check the network, name other mirrors in DIGITS_MNIST_MIRRORS, or put the four files \
         into a folder and name it in DIGITS_MNIST_DIR",
        if failures.is_empty() { "no mirror is configured".to_owned() } else { failures.join("; ") }
    )]
    Download {
        /// Name of the file.
        file: String,
        /// One sentence for each mirror.
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
