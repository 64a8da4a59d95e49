//! Reasons why a serving record or one of its checkpoints cannot be served.

use crate::model::RejectedRecord;
use digits_checkpoint::StorageError;

/// Reason why a record or one of its checkpoints cannot be served.
pub(super) enum Failure {
    /// The record is refused permanently.
    Refused(RejectedRecord),
    /// Missing files, an unreachable storage, or a panic while they were read; retried.
    Unavailable(StorageError),
}
