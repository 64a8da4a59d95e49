//! The serving log: which checkpoint serves, decided only by appending records.
//!
//! `serving/<model>/<sequence>.json`, numbered from 1 without holes. Creating a number that does not exist
//! yet is the compare-and-swap: of two writers who saw the same head one wins, and the other is told so.

mod operator;
mod policy;
mod routes;

pub use operator::{Candidate, drop_candidates, promote, release, rollback};
pub use policy::{Policy, promote_published};

use crate::{
    id::{CheckpointId, ModelName},
    keys,
    manifest::FORMAT,
    record::{Reason, Route, ServingRecord},
    storage::{Created, Storage, StorageError},
};
use jiff::Timestamp;
use uuid::Uuid;

/// Bytes of a record.
const RECORD_LIMIT: u64 = 64 << 10;
/// Characters of a record's `by`.
const BY_LIMIT: usize = 200;

/// The newest record; `None` for an empty log. Lists the log. Cancel-safe.
///
/// # Errors
/// [`StorageError::Unreadable`] when that record cannot be understood; [`StorageError::Missing`] when it is
/// listed but not found (a cache on the way; try again); else what the store said.
pub async fn head(
    storage: &Storage,
    model: &ModelName,
) -> Result<Option<ServingRecord>, StorageError> {
    let Some(newest) = newest_after(storage, model, 0).await? else {
        return Ok(None);
    };
    expect_record(storage, model, newest).await.map(Some)
}

/// One record; `None` when there is none of this number. Cancel-safe.
///
/// # Errors
/// [`StorageError::Unreadable`] or [`StorageError::TooLarge`] when what lies there is no record of a known
/// format; else what the store said.
pub async fn record(
    storage: &Storage,
    model: &ModelName,
    sequence: u64,
) -> Result<Option<ServingRecord>, StorageError> {
    let key = keys::record(model, sequence);
    let Some(bytes) = storage.get(&key, RECORD_LIMIT).await? else {
        return Ok(None);
    };
    match parse(&bytes, sequence) {
        Ok(record) => Ok(Some(record)),
        Err(reason) => Err(StorageError::Unreadable { key, reason }),
    }
}

/// The sequences of all records, ascending. Cancel-safe.
///
/// # Errors
/// What the store said.
pub async fn list(storage: &Storage, model: &ModelName) -> Result<Vec<u64>, StorageError> {
    let entries = storage.list(&keys::log(model), None).await?;
    let mut sequences: Vec<u64> = entries
        .iter()
        .filter_map(|entry| keys::parse_record(&entry.key))
        .map(|(_, sequence)| sequence)
        .collect();
    sequences.sort_unstable();
    Ok(sequences)
}

/// The largest sequence beyond `after`.
pub(crate) async fn newest_after(
    storage: &Storage,
    model: &ModelName,
    after: u64,
) -> Result<Option<u64>, StorageError> {
    let offset = (after > 0).then(|| keys::record(model, after));
    let entries = storage.list(&keys::log(model), offset.as_deref()).await?;
    let sequences = entries
        .iter()
        .filter_map(|entry| keys::parse_record(&entry.key));
    Ok(sequences
        .map(|(_, sequence)| sequence)
        .filter(|&sequence| sequence > after)
        .max())
}

/// A record that a listing named.
pub(crate) async fn expect_record(
    storage: &Storage,
    model: &ModelName,
    sequence: u64,
) -> Result<ServingRecord, StorageError> {
    let found = record(storage, model, sequence).await?;
    found.ok_or_else(|| StorageError::Missing {
        key: keys::record(model, sequence),
    })
}

fn parse(bytes: &[u8], sequence: u64) -> Result<ServingRecord, String> {
    #[derive(serde::Deserialize)]
    struct Format {
        format: u64,
    }
    let Format { format } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if format != u64::from(FORMAT) {
        return Err(format!("format {format} is not known to this program"));
    }
    let record: ServingRecord = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if record.sequence != sequence {
        return Err(format!("it says that it is record {}", record.sequence));
    }
    routes::check(&record.routes)?;
    Ok(record)
}

/// What a record is to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// What is served; the shares of primary and canaries make 1.
    pub routes: Vec<Route>,
    /// Whether automatic promotion must leave it.
    pub hold: bool,
    /// Why.
    pub reason: Reason,
    /// Who, in words; at most 200 characters.
    pub by: String,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another record came first: look at the head and decide anew.
    #[error("the serving log has moved on to record {}", .head.sequence)]
    Lost {
        /// The newest record.
        head: Box<ServingRecord>,
    },
    /// It must not be appended.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The storage failed. The record may be there all the same, or still appear.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a change of what is served was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    /// No such checkpoint.
    #[error("there is no committed checkpoint {0}")]
    UnknownCheckpoint(CheckpointId),
    /// It is for another model.
    #[error("checkpoint {id} is for the model {model}")]
    OtherModel {
        /// Which.
        id: CheckpointId,
        /// Whose it is.
        model: ModelName,
    },
    /// It is about to be deleted.
    #[error("checkpoint {0} is marked for deletion")]
    Tombstoned(CheckpointId),
    /// No such record.
    #[error("there is no serving record {0}")]
    UnknownRecord(u64),
    /// The log is empty.
    #[error("nothing serves yet: promote a checkpoint")]
    NothingServes,
    /// There is nothing to roll back to.
    #[error("no earlier serving record names another primary")]
    NothingEarlier,
    /// Nothing is held.
    #[error("the newest serving record holds nothing")]
    NotHeld,
    /// Nothing stands beside the primary.
    #[error("the newest serving record has neither canary nor shadow")]
    NoCandidates,
    /// The newest record is of a newer format, and what it serves is not known.
    #[error("the newest serving record cannot be understood: promote what is to serve alone")]
    HeadUnknown,
    /// The candidate cannot be.
    #[error("{field}: {reason}")]
    Candidate {
        /// What of the request is wrong.
        field: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The routes cannot be.
    #[error("{0}")]
    Routes(String),
    /// `by` is too long.
    #[error("by: at most {BY_LIMIT} characters")]
    By,
}

/// Appends a record at `expected` + 1, where `expected` is the sequence of the newest record, 0 for an empty
/// log. Looks at no checkpoint and no hold: [`promote`], [`rollback`] and [`promote_published`] do.
///
/// Not cancel-safe: when dropped, the record may be there or still appear.
///
/// # Errors
/// [`AppendError::Lost`] when the log has moved on; [`AppendError::Refused`] for routes that cannot be and an
/// `expected` that does not exist (the log has no holes); [`AppendError::Storage`].
pub async fn append(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    proposal: Proposal,
) -> Result<ServingRecord, AppendError> {
    routes::check(&proposal.routes).map_err(Refused::Routes)?;
    if proposal.by.chars().count() > BY_LIMIT {
        return Err(Refused::By.into());
    }
    if expected > 0 && !storage.exists(&keys::record(model, expected)).await? {
        return Err(Refused::UnknownRecord(expected).into());
    }
    let sequence = expected
        .checked_add(1)
        .ok_or(Refused::UnknownRecord(expected))?;
    let record = ServingRecord {
        format: FORMAT,
        sequence,
        nonce: Uuid::now_v7().to_string(),
        routes: proposal.routes,
        hold: proposal.hold,
        reason: proposal.reason,
        by: proposal.by,
        at: Timestamp::now(),
    };
    let text = serde_json::to_vec_pretty(&record).expect("a record is plain data");
    let key = keys::record(model, sequence);
    // The nonce makes the bytes ours alone, by which `create` knows whose record it finds.
    match storage.create(&key, text.into()).await? {
        Created::Ours => Ok(record),
        Created::Theirs => Err(lost(storage, model, sequence).await),
    }
}

/// The error of a writer who found record `sequence` taken.
async fn lost(storage: &Storage, model: &ModelName, sequence: u64) -> AppendError {
    // A listing may lag behind; `sequence` at least is there.
    let newest = match newest_after(storage, model, sequence).await {
        Ok(newest) => newest.unwrap_or(sequence),
        Err(error) => return error.into(),
    };
    match expect_record(storage, model, newest).await {
        Ok(head) => AppendError::Lost {
            head: Box::new(head),
        },
        Err(error) => error.into(),
    }
}
