//! Why credentials cannot be used. Says nothing of what is in the files.

use std::path::{Path, PathBuf};

/// Credentials that cannot be used; one line that names the flag.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// One flag makes no sense without another.
    #[error("{flag} needs {missing} beside it")]
    Alone {
        /// The flag that was given.
        flag: &'static str,
        /// The one that was not.
        missing: &'static str,
    },
    /// A file cannot be read, or is not what its flag wants.
    #[error("{flag} {}: {reason}", path.display())]
    File {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl CredentialsError {
    pub(super) fn file(flag: &'static str, path: &Path, reason: impl Into<String>) -> Self {
        Self::File {
            flag,
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}
