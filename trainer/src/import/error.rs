//! Errors of importing a state dict.

use crate::{spec::Violation, train::TrainError};
use digits_checkpoint::{StorageError, id::CheckpointId};

/// Errors of an import.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file or its header is wrong, by field of the request.
    #[error("{}: {}", .0.field, .0.message)]
    Invalid(Violation),
    /// The id holds another checkpoint.
    #[error("checkpoint {0} is another one")]
    Taken(CheckpointId),
    /// The storage failed; a retry takes the same id.
    #[error(transparent)]
    Storage(StorageError),
    /// libtorch failed: a bug, or no memory.
    #[error("the exam could not be made, or the network not measured: {0}")]
    Exam(#[from] TrainError),
    /// A thread panicked: a bug.
    #[error("an import panicked")]
    Panic,
}

impl ImportError {
    /// Something that is wrong with the file.
    pub(super) fn file(message: impl Into<String>) -> Self {
        Self::invalid("piece", message)
    }

    /// A violation of `field` of the request.
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(Violation {
            field: field.to_owned(),
            message: message.into(),
        })
    }
}
