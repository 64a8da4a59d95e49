//! Maps errors to gRPC status codes. Causes and paths go to the log, never to the client.

use crate::{
    import::ImportError, quotas::QuotaExceeded, reporter::ReportError, spec::Violation,
    store::StoreError, submission::SubmitError,
};
use digits_checkpoint::{
    StorageError,
    serving::{AppendError, PromotionError},
};
use digits_server::{not_found, retry_status, unavailable_status, violations::Violations};
use std::time::Duration;
use tonic::Status;

/// A job takes at least a few seconds to leave the queue.
const QUEUE_RETRY: Duration = Duration::from_secs(5);
/// A report of a small network takes a few seconds.
const REPORT_RETRY: Duration = Duration::from_secs(5);

/// Other programs hold the write lock for moments, such as those of a backup.
const LOCK_RETRY: Duration = Duration::from_secs(5);
/// The storage may be back by then, or the trainer is another one.
const JOURNAL_RETRY: Duration = Duration::from_secs(5);
/// An operator has to make room on the disk.
const DISK_RETRY: Duration = Duration::from_secs(60);

/// INVALID_ARGUMENT that names every field.
pub(super) fn invalid(found: Vec<Violation>) -> Status {
    let mut violations = Violations::new();
    for violation in found {
        violations.push(violation.field, violation.message);
    }
    violations.into_status()
}

/// For a job that was not accepted.
pub(super) fn submit(error: SubmitError) -> Status {
    match error {
        SubmitError::Invalid(found) => invalid(found),
        error @ SubmitError::PromotionDenied => Status::permission_denied(error.to_string()),
        SubmitError::Store(error) => store(error, ""),
        SubmitError::Storage(error) => storage(&error),
        SubmitError::DatasetsUnavailable => storage_unavailable(),
        SubmitError::Internal => internal(),
    }
}

/// INTERNAL: a bug, whose cause is in the log.
pub(super) fn internal() -> Status {
    Status::internal("an internal error; see the trainer's log")
}

/// INVALID_ARGUMENT for one field.
pub(super) fn invalid_field(field: &str, message: impl Into<String>) -> Status {
    let mut violations = Violations::new();
    violations.push(field, message);
    violations.into_status()
}

/// For an error of the job database; `job` is the id of the job or sweep in the request, or empty.
pub(super) fn store(error: StoreError, job: &str) -> Status {
    match error {
        StoreError::NoSuchJob => not_found(
            "job",
            job,
            format!("there is no job {job}: ListJobs lists them"),
        ),
        StoreError::NoSuchSweep => not_found(
            "sweep",
            job,
            format!("there is no sweep {job}: ListSweeps lists them"),
        ),
        StoreError::TooManySweeps { running } => retry_status(
            format!("{running} sweeps are running; retry when one has ended, or cancel one"),
            QUEUE_RETRY,
        ),
        StoreError::QueueFull { waiting } => retry_status(
            format!("the queue is full: {waiting} jobs are waiting; retry later or cancel one"),
            QUEUE_RETRY,
        ),
        StoreError::Quota(exceeded) => quota(exceeded),
        StoreError::RequestIdTaken => Status::already_exists(
            "request_id was used before with another spec: use a new one for a new job",
        ),
        StoreError::Closed => Status::unavailable("the trainer is shutting down"),
        StoreError::Locked => unavailable_status(
            "the trainer's job database is locked by another program: retry in a few seconds",
            LOCK_RETRY,
        ),
        error @ (StoreError::NotJournaled(_) | StoreError::Replaced) => {
            unavailable_status(error.client_message(), JOURNAL_RETRY)
        }
        error @ StoreError::Lost(_) => Status::failed_precondition(error.client_message()),
        error if error.is_full() => {
            tracing::error!(%error, "the disk with the job database is full");
            retry_status(
                "the disk with the trainer's job database is full: nothing can be accepted until there is room".to_owned(),
                DISK_RETRY,
            )
        }
        error @ (StoreError::Sqlite(_)
        | StoreError::NotCommitted(_)
        | StoreError::Folder { .. }
        | StoreError::Unusable { .. }
        | StoreError::Corrupt(_)
        | StoreError::NotFollowed { .. }) => {
            tracing::error!(%error, "the job database failed");
            Status::internal("the job database failed; see the trainer's log")
        }
    }
}

/// RESOURCE_EXHAUSTED without a time to retry: that depends on what the client does.
pub(super) fn quota(exceeded: QuotaExceeded) -> Status {
    Status::resource_exhausted(exceeded.to_string())
}

/// For a storage whose pushed data sets cannot be read.
pub(super) fn storage_unavailable() -> Status {
    Status::unavailable("the storage of the pushed data sets cannot be read; see the trainer's log")
}

/// For an error of the checkpoint storage.
pub(super) fn storage(error: &StorageError) -> Status {
    match error {
        StorageError::Contended { .. } => Status::aborted(
            "other writers changed the serving log at the same time: read it again and retry",
        ),
        StorageError::Tombstoned { id } => {
            Status::failed_precondition(format!("checkpoint {id} is marked for deletion"))
        }
        error => {
            tracing::warn!(%error, "the storage failed");
            Status::unavailable(
                "the checkpoint storage cannot be read or written; see the trainer's log",
            )
        }
    }
}

/// For a report card that was not measured.
pub(super) fn report_failed(error: &ReportError) -> Status {
    match error {
        ReportError::Storage(error) => storage(error),
        ReportError::UnknownCheckpoint(id) => not_found(
            "checkpoint",
            id.to_string(),
            format!("there is no committed checkpoint {id}: ListCheckpoints lists them"),
        ),
        ReportError::Busy => retry_status(
            "another report is being measured: retry later".to_owned(),
            REPORT_RETRY,
        ),
        ReportError::Refused(reason) => Status::failed_precondition(reason.clone()),
        ReportError::TooLong(deadline) => Status::deadline_exceeded(format!(
            "the report was stopped after its time limit of {} seconds",
            deadline.as_secs()
        )),
        ReportError::ShuttingDown => Status::unavailable("the trainer is shutting down"),
        ReportError::Unavailable => storage_unavailable(),
        error @ (ReportError::Data(_) | ReportError::Measuring(_) | ReportError::Thread(_)) => {
            tracing::error!(%error, "a report card could not be measured");
            Status::internal("the report card could not be measured; see the trainer's log")
        }
    }
}

/// For a checkpoint that was not imported.
pub(super) fn import_failed(error: ImportError) -> Status {
    match error {
        ImportError::Invalid(violation) => {
            let mut violations = Violations::new();
            violations.explain(violation.field, violation.message);
            violations.into_status()
        }
        ImportError::Taken(id) => Status::already_exists(format!(
            "header.checkpoint_id: {id} is another checkpoint: make a new id"
        )),
        ImportError::Storage(error) => storage(&error),
        error @ (ImportError::Exam(_) | ImportError::Panic) => {
            tracing::error!(%error, "an import failed");
            internal()
        }
    }
}

/// For a serving record that was not appended.
pub(super) fn append(error: &AppendError) -> Status {
    match error {
        AppendError::Lost { head } => Status::aborted(format!(
            "expected_sequence is not the newest record, which is {}: call ListServing and retry with it",
            head.sequence
        )),
        AppendError::Refused(refused) => self::refused(refused),
        AppendError::Storage(error) => storage(error),
    }
}

fn refused(refused: &PromotionError) -> Status {
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
        PromotionError::By | PromotionError::Note => invalid_field("by", refused.to_string()),
        PromotionError::Candidate { field, reason } => invalid_field(field, *reason),
        PromotionError::Routes(reason) => invalid_field("share", reason.to_string()),
        PromotionError::OtherModel { .. }
        | PromotionError::Tombstoned(_)
        | PromotionError::ManifestChanged { .. }
        | PromotionError::Untrusted { .. }
        | PromotionError::UntrustedRecord { .. }
        | PromotionError::SignedBefore { .. }
        | PromotionError::NothingServes
        | PromotionError::NothingEarlier
        | PromotionError::NotHeld
        | PromotionError::NoCandidates
        | PromotionError::HeadUnknown => Status::failed_precondition(refused.to_string()),
    }
}
