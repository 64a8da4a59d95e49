//! Errors of appending to the serving log.

use crate::{
    id::{CheckpointId, ModelName},
    record::{Role, ServingRecord},
    signature::Untrusted,
    storage::StorageError,
};

/// Largest number of characters of a record's `by`, and of its `note`.
pub const MAX_BY_CHARS: usize = 200;
/// Routes of a record.
pub(super) const ROUTES_LIMIT: usize = 16;

/// Errors of an append.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another writer appended first: read the head and retry.
    #[error("the serving log has moved on to record {}", .head.sequence)]
    Lost {
        /// The newest record.
        head: Box<ServingRecord>,
    },
    /// The change is not possible.
    #[error(transparent)]
    Refused(#[from] PromotionError),
    /// The storage failed. The record may still exist or appear later.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Reasons for refusing a change of what is served.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PromotionError {
    /// No such checkpoint.
    #[error("there is no committed checkpoint {0}")]
    UnknownCheckpoint(CheckpointId),
    /// The checkpoint belongs to another model.
    #[error("checkpoint {id} is for the model {model}")]
    OtherModel {
        /// The checkpoint.
        id: CheckpointId,
        /// Its model.
        model: ModelName,
    },
    /// The checkpoint is about to be deleted.
    #[error("checkpoint {0} is marked for deletion")]
    Tombstoned(CheckpointId),
    /// The manifest is not the one that was promoted.
    #[error(
        "the manifest of checkpoint {id} was changed after its promotion: its SHA-256 is {found}, and the \
         serving record has {expected}; restore its manifest.json, or promote another checkpoint"
    )]
    ManifestChanged {
        /// The checkpoint.
        id: CheckpointId,
        /// The digest in the serving record.
        expected: String,
        /// The digest of the manifest on the storage.
        found: String,
    },
    /// The manifest is not signed by a trusted key.
    #[error(
        "the manifest of checkpoint {id} is not trusted: {reason}; promote another checkpoint, or with \
         --storage, --signing-key and --allow-unsigned one without a signature"
    )]
    Untrusted {
        /// The checkpoint.
        id: CheckpointId,
        /// Why.
        reason: Untrusted,
    },
    /// A serving record is not signed by a trusted key.
    #[error(
        "serving record {sequence} is not trusted: {reason}; promote a checkpoint as primary, or roll back to a \
         trusted record"
    )]
    UntrustedRecord {
        /// Its sequence.
        sequence: u64,
        /// Why.
        reason: Untrusted,
    },
    /// Records without a signature follow on signed ones.
    #[error(
        "serving record {signed} is signed, and record {newest}, the newest, is not: whoever wrote it has no key; \
         promote a checkpoint as primary or roll back, with the key"
    )]
    SignedBefore {
        /// The newest record that is signed.
        signed: u64,
        /// The newest record.
        newest: u64,
    },
    /// No such record.
    #[error("there is no serving record {0}")]
    UnknownRecord(u64),
    /// The log is empty.
    #[error("nothing serves yet: promote a checkpoint")]
    NothingServes,
    /// No record to roll back to.
    #[error("no earlier serving record names another primary")]
    NothingEarlier,
    /// The newest record has no hold to lift.
    #[error("the newest serving record has no hold")]
    NotHeld,
    /// There is no candidate to drop.
    #[error("the newest serving record has neither canary nor shadow")]
    NoCandidates,
    /// The newest record has a format of a newer program, so its routes are unknown.
    #[error("the newest serving record cannot be understood: promote a checkpoint as primary")]
    HeadUnknown,
    /// The candidate is not possible.
    #[error("{field}: {reason}")]
    Candidate {
        /// The field of the request that is wrong.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The routes are not possible.
    #[error(transparent)]
    Routes(#[from] InvalidRoutes),
    /// `by` is too long.
    #[error("by: at most {MAX_BY_CHARS} characters")]
    By,
    /// `note` is too long.
    #[error("note: at most {MAX_BY_CHARS} characters")]
    Note,
}

/// Errors of invalid routes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidRoutes {
    /// Too many.
    #[error("{0} routes, where at most {ROUTES_LIMIT} are accepted")]
    TooMany(usize),
    /// No primary, or several.
    #[error("{0} primaries, where there must be one")]
    Primaries(usize),
    /// One checkpoint in two routes.
    #[error("checkpoint {0} has two routes")]
    Duplicate(CheckpointId),
    /// A share outside its role's range.
    #[error("a {} cannot have the share {share}", .role.as_str())]
    Share {
        /// Role of the route.
        role: Role,
        /// Its share.
        share: f64,
    },
    /// A manifest's digest is none.
    #[error("checkpoint {0}: manifest_sha256 is not 64 lower-case hexadecimal digits")]
    Digest(CheckpointId),
    /// The shares do not add up.
    #[error("the shares add up to {0} instead of 1")]
    Sum(f64),
}
