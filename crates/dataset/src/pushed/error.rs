//! Errors of pushed data sets.

use crate::DatasetError;
use digits_checkpoint::StorageError;

/// Why a data set was not pushed, found or fetched. Messages name what to do; those of
/// [`Storage`](Self::Storage) and [`Dataset`](Self::Dataset) may hold paths and are for the log and
/// its user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushedError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The data set is invalid, or an operation on a file of this machine failed.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Not the name of a data set.
    #[error(
        "{text:?} is not the name of a data set: use 1 to 63 of a-z, 0-9 and inner `.`, `_`, `-`, for one content \
         with @ and 8 to 64 hexadecimal digits of its digest behind it, and then perhaps +handwriting or +plain"
    )]
    Name {
        /// The invalid text.
        text: String,
    },
    /// The name is that of a built-in data set with other content.
    #[error(
        "{name} is the name of a built-in data set, and this is other data: give it a name of its own with --name"
    )]
    Reserved {
        /// The name.
        name: String,
    },
    /// It could not be trained on or served.
    #[error("this data set cannot be pushed: {reason}")]
    Unsuitable {
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// No data set of this name was pushed.
    #[error("no data set {reference} was pushed: `digits dataset list` shows the names")]
    Unknown {
        /// The reference.
        reference: String,
    },
    /// Several contents match.
    #[error("{reference} may be {}: give more digits of the digest", digests.join(" or "))]
    Ambiguous {
        /// The reference.
        reference: String,
        /// The matching digests.
        digests: Vec<String>,
    },
    /// The content on the storage is damaged.
    #[error(
        "the pushed data set {digest} is damaged: {reason}; remove its folder from the storage and push it again"
    )]
    Damaged {
        /// Digest of the data set.
        digest: String,
        /// What is wrong.
        reason: String,
    },
    /// Written in an unknown format by a newer program.
    #[error("the pushed data set {digest} cannot be understood: {reason}; use a newer program")]
    Format {
        /// Digest of the data set.
        digest: String,
        /// What is unknown to this program.
        reason: String,
    },
    /// A record of a name is unreadable.
    #[error(
        "record {sequence} of the name {name} cannot be understood: {reason}; push the data set again, or use a newer \
         program"
    )]
    Record {
        /// The name.
        name: String,
        /// The number of the record.
        sequence: u64,
        /// What is wrong.
        reason: String,
    },
    /// It exceeds the limit of the cache.
    #[error(
        "the data set has {size_bytes} bytes, above the limit of {limit_bytes}: raise the limit, or split the data set"
    )]
    TooLarge {
        /// Bytes of its files.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
}

impl PushedError {
    /// Whether a retry may succeed.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Storage(
                StorageError::Store { .. }
                    | StorageError::Denied { .. }
                    | StorageError::NoBucket { .. }
                    | StorageError::Missing { .. }
                    | StorageError::Contended { .. }
                    | StorageError::Task(_)
                    | StorageError::Thread(_)
            )
        )
    }
}
