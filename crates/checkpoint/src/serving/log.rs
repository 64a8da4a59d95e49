//! Reads the serving log and appends to it.

use super::{
    error::{AppendError, MAX_BY_CHARS, PromotionError},
    routes,
};
use crate::{
    id::ModelName,
    keys,
    manifest::{FORMAT, read_format},
    record::{Reason, Route, ServingRecord},
    signature::{Kind, is_signed},
    storage::{Created, Storage, StorageError},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use std::ops::RangeInclusive;
use uuid::Uuid;

/// Bytes of a record.
const RECORD_LIMIT: u64 = 64 << 10;
/// Records that are searched for a trusted one.
const SEARCHED: u64 = 1000;
/// Records that are read at once.
const CONCURRENT_READS: usize = 16;

/// The newest record; `None` for an empty log. Lists the log. Cancel-safe.
///
/// # Errors
/// [`StorageError::Unreadable`] when that record cannot be understood, [`StorageError::Untrusted`]
/// when it is not signed as the storage requires; [`StorageError::Missing`] when it is listed but
/// not found (a cache on the way; try again); else the store's error.
pub async fn head(
    storage: &Storage,
    model: &ModelName,
) -> Result<Option<ServingRecord>, StorageError> {
    let Some(newest) = newest(storage, model).await? else {
        return Ok(None);
    };
    expect_record(storage, model, newest).await.map(Some)
}

/// Sequence of the newest record, and the record whose content counts: the newest that is signed as
/// the storage requires. Records after it are somebody else's, and are passed over.
///
/// # Errors
/// As [`head`]; [`StorageError::Untrusted`] when the last 1,000 records are not trusted.
pub(super) async fn trusted_head(
    storage: &Storage,
    model: &ModelName,
) -> Result<Option<(u64, ServingRecord)>, StorageError> {
    let Some(newest) = newest(storage, model).await? else {
        return Ok(None);
    };
    let error = match expect_record(storage, model, newest).await {
        Err(error @ StorageError::Untrusted { .. }) => error,
        other => return other.map(|record| Some((newest, record))),
    };
    let searched = newest.saturating_sub(SEARCHED).max(1)..=newest - 1;
    let Some(record) = newest_trusted(storage, model, searched).await? else {
        return Err(error);
    };
    tracing::warn!(
        %model, newest, trusted = record.sequence, %error,
        "serving records are passed over that no trusted key has signed"
    );
    Ok(Some((newest, record)))
}

/// The newest record of these numbers that is signed as the storage requires.
///
/// # Errors
/// [`StorageError::Unreadable`] when that record cannot be understood; else the store's error.
pub(crate) async fn newest_trusted(
    storage: &Storage,
    model: &ModelName,
    sequences: RangeInclusive<u64>,
) -> Result<Option<ServingRecord>, StorageError> {
    let mut records = stream::iter(sequences.rev())
        .map(|sequence| record(storage, model, sequence))
        .buffered(CONCURRENT_READS);
    while let Some(found) = records.next().await {
        match found {
            Ok(None) | Err(StorageError::Untrusted { .. }) => {}
            found => return found,
        }
    }
    Ok(None)
}

/// The newest sequence before `before` whose record has a signature, of whatever key.
pub(super) async fn newest_signed(
    storage: &Storage,
    model: &ModelName,
    before: u64,
) -> Result<Option<u64>, StorageError> {
    let mut records = stream::iter((1..before).rev())
        .map(|sequence| async move { (sequence, read(storage, model, sequence).await) })
        .buffered(CONCURRENT_READS);
    while let Some((sequence, found)) = records.next().await {
        if found?.is_some_and(|(_, bytes)| is_signed(&bytes)) {
            return Ok(Some(sequence));
        }
    }
    Ok(None)
}

async fn newest(storage: &Storage, model: &ModelName) -> Result<Option<u64>, StorageError> {
    let listing = listing(storage, model, 0).await?;
    if let Some(key) = listing.stray {
        tracing::warn!(
            %model, key,
            "a file is ignored that has the name of a serving record, with a number that no log reaches; remove it"
        );
    }
    Ok(listing.newest.map(|(sequence, _)| sequence))
}

/// One record; `None` when there is none of this number. Cancel-safe.
///
/// # Errors
/// [`StorageError::Unreadable`] or [`StorageError::TooLarge`] when the key holds no record of a
/// known format; [`StorageError::Untrusted`] when it is not signed as the storage requires; else
/// the store's error.
pub async fn record(
    storage: &Storage,
    model: &ModelName,
    sequence: u64,
) -> Result<Option<ServingRecord>, StorageError> {
    let Some((key, bytes)) = read(storage, model, sequence).await? else {
        return Ok(None);
    };
    storage.verify(Kind::ServingRecord(model), &key, &bytes)?;
    parsed(key, &bytes, sequence).map(Some)
}

/// As [`record`], signed or not: for what is listed and for what is kept.
pub(crate) async fn any_record(
    storage: &Storage,
    model: &ModelName,
    sequence: u64,
) -> Result<Option<ServingRecord>, StorageError> {
    let found = read(storage, model, sequence).await?;
    let parse = |(key, bytes): (String, Bytes)| parsed(key, &bytes, sequence);
    found.map(parse).transpose()
}

/// The key and the bytes of a record; `None` when there is none of this number.
pub(super) async fn read(
    storage: &Storage,
    model: &ModelName,
    sequence: u64,
) -> Result<Option<(String, Bytes)>, StorageError> {
    if sequence > keys::MAX_SEQUENCE {
        return Ok(None);
    }
    let key = keys::record(model, sequence);
    let found = storage.get(&key, RECORD_LIMIT).await?;
    Ok(found.map(|bytes| (key, bytes)))
}

fn parsed(key: String, bytes: &[u8], sequence: u64) -> Result<ServingRecord, StorageError> {
    match parse(bytes, sequence) {
        Ok(record) => Ok(record),
        Err(rejected) => Err(StorageError::Unreadable {
            key,
            reason: rejected.to_string(),
        }),
    }
}

/// The sequences of all records, ascending. Cancel-safe.
///
/// # Errors
/// The store's error.
pub async fn list(storage: &Storage, model: &ModelName) -> Result<Vec<u64>, StorageError> {
    let entries = storage.list(&keys::log(model), None).await?;
    let records = entries
        .iter()
        .filter_map(|entry| keys::parse_record(&entry.key));
    let mut sequences: Vec<u64> = records.map(|(_, sequence)| sequence).collect();
    sequences.sort_unstable();
    Ok(sequences)
}

/// The largest sequence beyond `after`.
pub(crate) async fn newest_after(
    storage: &Storage,
    model: &ModelName,
    after: u64,
) -> Result<Option<u64>, StorageError> {
    let listing = listing(storage, model, after).await?;
    Ok(listing.newest.map(|(sequence, _)| sequence))
}

/// The end of a serving log.
pub(crate) struct Listing {
    /// The largest sequence, and when its key was written.
    pub(crate) newest: Option<(u64, Timestamp)>,
    /// A key with a number that no log reaches.
    pub(crate) stray: Option<String>,
}

/// Lists the log beyond `after`.
pub(crate) async fn listing(
    storage: &Storage,
    model: &ModelName,
    after: u64,
) -> Result<Listing, StorageError> {
    let offset = (after > 0).then(|| keys::record(model, after));
    let entries = storage.list(&keys::log(model), offset.as_deref()).await?;
    let records = entries.iter().filter_map(|entry| {
        let (_, sequence) = keys::parse_record(&entry.key)?;
        (sequence > after).then_some((sequence, entry.modified))
    });
    let mut keys = entries.iter().map(|entry| &entry.key);
    Ok(Listing {
        newest: records.max_by_key(|&(sequence, _)| sequence),
        stray: keys.find(|key| keys::is_stray_record(key)).cloned(),
    })
}

/// A record that a listing named, signed or not.
pub(crate) async fn expect_any_record(
    storage: &Storage,
    model: &ModelName,
    sequence: u64,
) -> Result<ServingRecord, StorageError> {
    let found = any_record(storage, model, sequence).await?;
    found.ok_or_else(|| StorageError::Missing {
        key: keys::record(model, sequence),
    })
}

/// A record that a listing named.
async fn expect_record(
    storage: &Storage,
    model: &ModelName,
    sequence: u64,
) -> Result<ServingRecord, StorageError> {
    let found = record(storage, model, sequence).await?;
    found.ok_or_else(|| StorageError::Missing {
        key: keys::record(model, sequence),
    })
}

/// Errors of decoding a record.
#[derive(Debug, thiserror::Error)]
enum RejectedRecord {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("format {0} is not known to this program, which reads {FORMAT}")]
    Format(u64),
    #[error("it has the sequence {0}, which is not that of its key")]
    Sequence(u64),
    #[error(transparent)]
    Routes(#[from] super::error::InvalidRoutes),
}

fn parse(bytes: &[u8], sequence: u64) -> Result<ServingRecord, RejectedRecord> {
    let format = read_format(bytes)?;
    if format != u64::from(FORMAT) {
        return Err(RejectedRecord::Format(format));
    }
    let record: ServingRecord = serde_json::from_slice(bytes)?;
    if record.sequence != sequence {
        return Err(RejectedRecord::Sequence(record.sequence));
    }
    routes::check(&record.routes)?;
    Ok(record)
}

/// The content of a record to be appended.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// What is served; the shares of primary and canaries add up to 1.
    pub routes: Vec<Route>,
    /// Whether automatic promotion must leave it.
    pub hold: bool,
    /// Reason of the change.
    pub reason: Reason,
    /// Author of the record, as free text of at most [`MAX_BY_CHARS`] characters.
    pub by: String,
    /// Note of the author, of at most [`MAX_BY_CHARS`] characters.
    pub note: Option<String>,
}

/// Appends a record at `expected` + 1, where `expected` is the sequence of the newest record, 0 for
/// an empty log. Checks no checkpoint and no hold: [`promote`](super::promote),
/// [`rollback`](super::rollback) and [`promote_published`](super::promote_published) do.
///
/// Not cancel-safe: when dropped, the record may exist or still appear.
///
/// # Errors
/// [`AppendError::Lost`] when the log has moved on; [`AppendError::Refused`] for routes that are
/// not possible and an `expected` that does not exist (the log has no gaps);
/// [`AppendError::Storage`].
pub async fn append(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    proposal: Proposal,
) -> Result<ServingRecord, AppendError> {
    routes::check(&proposal.routes).map_err(PromotionError::from)?;
    if is_too_long(&proposal.by) {
        return Err(PromotionError::By.into());
    }
    if proposal.note.as_deref().is_some_and(is_too_long) {
        return Err(PromotionError::Note.into());
    }
    let unknown = PromotionError::UnknownRecord(expected);
    if expected >= keys::MAX_SEQUENCE
        || expected > 0 && !storage.exists(&keys::record(model, expected)).await?
    {
        return Err(unknown.into());
    }
    let sequence = expected + 1;
    let record = ServingRecord {
        format: FORMAT,
        sequence,
        nonce: Uuid::now_v7().to_string(),
        routes: proposal.routes,
        hold: proposal.hold,
        reason: proposal.reason,
        by: proposal.by,
        note: proposal.note,
        at: Timestamp::now(),
    };
    let text = serde_json::to_vec_pretty(&record).expect("a record is plain data");
    let key = keys::record(model, sequence);
    // The nonce makes the bytes unique, so that `create` can distinguish this record from another
    // writer's.
    let text = storage.signed(Kind::ServingRecord(model), text);
    match storage.create(&key, text).await? {
        Created::Ours => Ok(record),
        Created::Theirs => Err(lost(storage, model, sequence).await),
    }
}

fn is_too_long(text: &str) -> bool {
    text.chars().count() > MAX_BY_CHARS
}

/// The error of a writer who found record `sequence` taken.
pub(super) async fn lost(storage: &Storage, model: &ModelName, sequence: u64) -> AppendError {
    // A listing may lag behind; `sequence` at least exists.
    let newest = match newest_after(storage, model, sequence).await {
        Ok(newest) => newest.unwrap_or(sequence),
        Err(error) => return error.into(),
    };
    match expect_any_record(storage, model, newest).await {
        Ok(head) => AppendError::Lost {
            head: Box::new(head),
        },
        Err(error) => error.into(),
    }
}
