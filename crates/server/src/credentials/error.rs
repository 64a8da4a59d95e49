//! Errors of credentials. They show nothing of the contents of the files.

use std::path::{Path, PathBuf};

/// Why credentials cannot be used, in one line that names the flag.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A flag is given without another one that it needs.
    #[error("{flag} needs {missing} as well")]
    Alone {
        /// The flag that was given.
        flag: &'static str,
        /// The flag that it needs.
        missing: &'static str,
    },
    /// A flag has a value that cannot be used.
    #[error("{flag} {value}: {reason}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The keys of an issuer cannot be fetched.
    #[error("{flag} {url}: {reason}")]
    Keys {
        /// The flag that names the address.
        flag: &'static str,
        /// The address.
        url: String,
        /// The cause.
        reason: String,
    },
    /// A file cannot be read, or has the wrong contents.
    #[error("{flag} {}: {reason}", path.display())]
    File {
        /// The flag that names the file.
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
