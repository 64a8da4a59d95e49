//! The one place that maps errors to codes. Causes and paths go to the log, never to the client.

use crate::{
    intake::Refused as NotTakenIn, reporter::ReportError, spec::Violation, store::StoreError,
};
use digits_checkpoint::{
    StorageError,
    serving::{AppendError, PromotionError},
};
use digits_server::{not_found, retry_status, violations::Violations};
use std::time::Duration;
use tonic::Status;

/// A place in the queue becomes free when a job ends.
const QUEUE_RETRY: Duration = Duration::from_secs(5);
/// A report of a small network takes a few seconds.
const REPORT_RETRY: Duration = Duration::from_secs(5);

/// Room on a disk is made by people.
const DISK_RETRY: Duration = Duration::from_secs(60);

/// INVALID_ARGUMENT that names every field.
pub(super) fn invalid(found: Vec<Violation>) -> Status {
    let mut violations = Violations::new();
    for violation in found {
        violations.push(violation.field, violation.message);
    }
    violations.into_status()
}

/// Answers for a job that was not taken in.
pub(super) fn refused(refused: NotTakenIn) -> Status {
    match refused {
        NotTakenIn::Invalid(found) => invalid(found),
        NotTakenIn::Store(error) => store(error, ""),
        NotTakenIn::Storage(error) => storage(&error),
        NotTakenIn::DataUnavailable => storage_unavailable(),
        internal @ NotTakenIn::Internal => Status::internal(internal.to_string()),
    }
}

/// INVALID_ARGUMENT for one field.
pub(super) fn invalid_field(field: &str, message: impl Into<String>) -> Status {
    let mut violations = Violations::new();
    violations.push(field, message);
    violations.into_status()
}

/// Answers for what the database says; `job` is the id that was asked for, or empty.
pub(super) fn store(error: StoreError, job: &str) -> Status {
    match error {
        StoreError::NoSuchJob => not_found(
            "job",
            job,
            format!("there is no job {job}: ListJobs lists them"),
        ),
        StoreError::QueueFull { waiting } => retry_status(
            format!("the queue is full, {waiting} jobs wait: try again later or cancel one"),
            QUEUE_RETRY,
        ),
        StoreError::RequestIdTaken => Status::already_exists(
            "request_id was used before with another spec: use a new one for a new job",
        ),
        StoreError::Closed => Status::unavailable("the trainer is shutting down"),
        error if error.is_full() => {
            tracing::error!(%error, "the job database failed");
            retry_status(
                "the disk with the trainer's job database is full: nothing can be accepted until there is room".to_owned(),
                DISK_RETRY,
            )
        }
        error @ (StoreError::Sqlite(_)
        | StoreError::NotCommitted(_)
        | StoreError::Folder { .. }
        | StoreError::Corrupt(_)) => {
            tracing::error!(%error, "the job database failed");
            Status::internal("the job database failed; the trainer's log says why")
        }
    }
}

/// The data sets on the storage cannot be looked at.
pub(super) fn storage_unavailable() -> Status {
    Status::unavailable(
        "the storage of the pushed data sets cannot be read; the trainer's log says why",
    )
}

/// Answers for what the storage says.
pub(super) fn storage(error: &StorageError) -> Status {
    match error {
        StorageError::Contended { .. } => {
            Status::aborted("other writers came first again and again: look again and retry")
        }
        StorageError::Tombstoned { id } => {
            Status::failed_precondition(format!("checkpoint {id} is marked for deletion"))
        }
        error => {
            tracing::warn!(%error, "the storage failed");
            Status::unavailable(
                "the checkpoint storage cannot be read or written; the trainer's log says why",
            )
        }
    }
}

/// Answers for a report card that was not made.
pub(super) fn report_failed(error: &ReportError) -> Status {
    match error {
        ReportError::Storage(error) => storage(error),
        ReportError::UnknownCheckpoint(id) => not_found(
            "checkpoint",
            id.to_string(),
            format!("there is no committed checkpoint {id}: ListCheckpoints lists them"),
        ),
        ReportError::Busy => retry_status(
            "another report is being measured: try again later".to_owned(),
            REPORT_RETRY,
        ),
        ReportError::Refused(reason) => Status::failed_precondition(reason.clone()),
        ReportError::TooLong(deadline) => Status::deadline_exceeded(format!(
            "the report was not done after {} seconds and was given up",
            deadline.as_secs()
        )),
        ReportError::ShuttingDown => Status::unavailable("the trainer is shutting down"),
        ReportError::Unavailable => storage_unavailable(),
        error @ (ReportError::Data(_) | ReportError::Measuring(_) | ReportError::Thread(_)) => {
            tracing::error!(%error, "a report card could not be made");
            Status::internal("the report card could not be made; the trainer's log says why")
        }
    }
}

/// Answers for a change of what is served that was not made.
pub(super) fn append(error: &AppendError) -> Status {
    match error {
        AppendError::Lost { head } => Status::aborted(format!(
            "expected_sequence is not the newest record, which is {}: look at ListServing and decide again",
            head.sequence
        )),
        AppendError::Refused(refused) => refused_status(refused),
        AppendError::Storage(error) => storage(error),
    }
}

fn refused_status(refused: &PromotionError) -> Status {
    match refused {
        PromotionError::UnknownCheckpoint(id) => not_found(
            "checkpoint",
            id.to_string(),
            format!("there is no committed checkpoint {id}: ListCheckpoints lists them"),
        ),
        PromotionError::UnknownRecord(sequence) => not_found(
            "serving record",
            sequence.to_string(),
            format!("there is no serving record {sequence}: ListServing lists them"),
        ),
        PromotionError::By => invalid_field("by", refused.to_string()),
        PromotionError::Candidate { field, reason } => invalid_field(field, *reason),
        PromotionError::Routes(reason) => invalid_field("share", reason.to_string()),
        PromotionError::OtherModel { .. }
        | PromotionError::Tombstoned(_)
        | PromotionError::NothingServes
        | PromotionError::NothingEarlier
        | PromotionError::NotHeld
        | PromotionError::NoCandidates
        | PromotionError::HeadUnknown => Status::failed_precondition(refused.to_string()),
    }
}
