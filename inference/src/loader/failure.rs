//! Why a record or one of its checkpoints does not serve.

use crate::model::RejectedRecord;
use digits_checkpoint::StorageError;

/// Why a record or one of its checkpoints does not serve.
pub(super) enum Failure {
    /// It was refused, for good.
    Refused(RejectedRecord),
    /// Missing files, an unreachable storage, or a panic while they were read; retried.
    Unavailable(StorageError),
}
