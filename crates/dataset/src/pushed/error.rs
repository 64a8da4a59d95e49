//! What can go wrong with a pushed data set.

use crate::DatasetError;
use digits_checkpoint::StorageError;

/// Why a data set was not pushed, found or fetched. Messages name what to do; those of [`Storage`](Self::Storage)
/// and [`Dataset`](Self::Dataset) may hold paths and are for the log and its user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushedError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The data set itself is not what it should be, or a file of this machine failed.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Not the name of a data set.
    #[error(
        "{text:?} is not the name of a data set: use 1 to 63 of a-z, 0-9 and inner `.`, `_`, `-`, for one content \
         with @ and 8 to 64 hexadecimal digits of its digest behind it"
    )]
    Name {
        /// What was given.
        text: String,
    },
    /// The name is that of a built-in data set with other content.
    #[error(
        "{name} is the name of a built-in data set, and this is other data: give it a name of its own with --name"
    )]
    Reserved {
        /// Which name.
        name: String,
    },
    /// It would be refused later, when it is trained on.
    #[error("this data set cannot be pushed: {reason}")]
    Unfit {
        /// What is wrong and what to do.
        reason: String,
    },
    /// Nothing of this name was pushed.
    #[error("no data set {reference} was pushed: `digits dataset list` tells the names")]
    Unknown {
        /// What was looked for.
        reference: String,
    },
    /// More than one content fits.
    #[error("{reference} may be {}: give more digits of the digest", digests.join(" or "))]
    Ambiguous {
        /// What was looked for.
        reference: String,
        /// The digests that it may mean.
        digests: Vec<String>,
    },
    /// The data is on the storage already, and is to be understood in another way.
    #[error(
        "this data is on the storage already with {there} pictures, and is now pushed with {here}: push it as before"
    )]
    Otherwise {
        /// How it is there.
        there: &'static str,
        /// How it was to be.
        here: &'static str,
    },
    /// What lies on the storage is not what was pushed.
    #[error(
        "the pushed data set {digest} is damaged: {reason}; remove its folder from the storage and push it again"
    )]
    Damaged {
        /// Its digest.
        digest: String,
        /// What is wrong.
        reason: String,
    },
    /// Written by a program that this one does not know.
    #[error("the pushed data set {digest} cannot be understood: {reason}; use a newer program")]
    Format {
        /// Its digest.
        digest: String,
        /// What is unknown.
        reason: String,
    },
    /// A record of a name is not of the known form.
    #[error(
        "record {sequence} of the name {name} cannot be understood: {reason}; push the data set again, or use a newer \
         program"
    )]
    Record {
        /// Which name.
        name: String,
        /// The number of the record.
        sequence: u64,
        /// What is wrong.
        reason: String,
    },
    /// It does not fit into the cache.
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
    /// Whether the same may work at another time.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Storage(
                StorageError::Store { .. }
                    | StorageError::Denied { .. }
                    | StorageError::Missing { .. }
                    | StorageError::Contended { .. }
                    | StorageError::Task(_)
                    | StorageError::Thread(_)
            )
        )
    }
}
