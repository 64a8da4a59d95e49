//! The log of each name: `datasets/names/<name>/<sequence>.json`, append-only and numbered from 1,
//! like the serving log. The record with the highest number gives the name's content, whatever the
//! clocks.

use super::{DatasetName, NAMES, Pinned, PushedError, Reference, is_digest};
use digits_checkpoint::{
    Created, Storage, StorageError,
    manifest::{PictureNormalization, read_format},
    parse_record_file, record_file,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Largest record that is read, in bytes.
const LIMIT: u64 = 64 << 10;
/// Records of a name that are read, from the newest on.
pub(super) const RECORDS: usize = 1_000;
/// Records that are read concurrently.
const CONCURRENT_READS: usize = 16;
/// Attempts of an append that another writer precedes.
const ATTEMPTS: u32 = 10;

/// A record of a name. Records are never changed: pushing other data under the name appends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NameRecord {
    /// Version of the layout, [`FORMAT`](super::FORMAT).
    pub format: u32,
    /// The name, as in the path.
    pub name: DatasetName,
    /// The number of the record, as in the path.
    pub sequence: u64,
    /// Digest of the name's content from this record on.
    pub digest: String,
    /// Normalization of a user's picture from this record on, where it is not that of the content's
    /// manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture_normalization: Option<PictureNormalization>,
    /// A description.
    pub description: String,
    /// Author of the push, as free text.
    pub by: String,
    /// When it was pushed.
    pub pushed_at: Timestamp,
}

/// Resolves a reference to its present content. Cancel-safe.
///
/// A name alone has the picture normalization of its newest record. With a digest the reference is
/// already fixed: it has the normalization that it names, else that of the manifest.
///
/// # Errors
/// [`PushedError::Unknown`], [`PushedError::Ambiguous`], [`PushedError::Record`] when the newest
/// record is unreadable; else the storage's error.
pub async fn resolve(storage: &Storage, reference: &Reference) -> Result<Pinned, PushedError> {
    let name = &reference.name;
    let unknown = || PushedError::Unknown {
        reference: reference.to_string(),
    };
    let sequences = sequences(storage, name).await?;
    let Some(prefix) = &reference.prefix else {
        let newest = sequences.first().ok_or_else(unknown)?;
        let newest = record(storage, name, *newest).await?;
        return Ok(Pinned {
            name: name.clone(),
            digest: newest.digest,
            picture_normalization: newest.picture_normalization,
        });
    };
    let records = records(storage, name, &sequences).await?;
    let fitting: BTreeSet<String> = records
        .into_iter()
        .map(|record| record.digest)
        .filter(|digest| digest.starts_with(prefix))
        .collect();
    let mut fitting = fitting.into_iter();
    match (fitting.next(), fitting.next()) {
        (None, _) => Err(unknown()),
        (Some(digest), None) => Ok(Pinned {
            name: name.clone(),
            digest,
            picture_normalization: reference.picture_normalization,
        }),
        (Some(first), Some(second)) => Err(PushedError::Ambiguous {
            reference: reference.to_string(),
            digests: [first, second].into_iter().chain(fitting).collect(),
        }),
    }
}

/// Appends a record unless the newest one means the same already. Returns the newest record
/// and who wrote it.
pub(super) async fn append(
    storage: &Storage,
    draft: NameRecord,
) -> Result<(NameRecord, Created), PushedError> {
    for _ in 0..ATTEMPTS {
        let newest = sequences(storage, &draft.name).await?.first().copied();
        if let Some(newest) = newest {
            // An unreadable record, of a newer program, is superseded by this push.
            match record(storage, &draft.name, newest).await {
                Ok(record)
                    if record.digest == draft.digest
                        && record.picture_normalization == draft.picture_normalization =>
                {
                    return Ok((record, Created::Theirs));
                }
                Ok(_) | Err(PushedError::Record { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let record = NameRecord {
            sequence: newest.unwrap_or(0) + 1,
            ..draft.clone()
        };
        let text = serde_json::to_vec_pretty(&record).expect("a record is plain data");
        let key = key(&record.name, record.sequence);
        // With equal bytes of another writer the result is the same.
        if storage.create(&key, text.into()).await? == Created::Ours {
            return Ok((record, Created::Ours));
        }
    }
    Err(StorageError::Contended {
        key: format!("{NAMES}/{}", draft.name),
        attempts: ATTEMPTS,
    }
    .into())
}

/// The sequences of a name's records, the newest first.
async fn sequences(storage: &Storage, name: &DatasetName) -> Result<Vec<u64>, PushedError> {
    let entries = storage.list(&format!("{NAMES}/{name}"), None).await?;
    let mut sequences: Vec<u64> = entries
        .iter()
        .filter_map(|entry| parse_key(&entry.key))
        .map(|(_, sequence)| sequence)
        .collect();
    sequences.sort_unstable_by(|left, right| right.cmp(left));
    Ok(sequences)
}

/// The readable records, in the order of `sequences`.
async fn records(
    storage: &Storage,
    name: &DatasetName,
    sequences: &[u64],
) -> Result<Vec<NameRecord>, PushedError> {
    stream::iter(sequences.iter().take(RECORDS).copied())
        .map(|sequence| readable_record(storage, name, sequence))
        .buffered(CONCURRENT_READS)
        .try_filter_map(|found| async { Ok(found) })
        .try_collect()
        .await
}

/// A record; `None`, with a warning, if it is unreadable.
pub(super) async fn readable_record(
    storage: &Storage,
    name: &DatasetName,
    sequence: u64,
) -> Result<Option<NameRecord>, PushedError> {
    match record(storage, name, sequence).await {
        Ok(record) => Ok(Some(record)),
        Err(error @ PushedError::Record { .. }) => {
            tracing::warn!(%error, "unreadable record of a data set's name: skipped");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn record(
    storage: &Storage,
    name: &DatasetName,
    sequence: u64,
) -> Result<NameRecord, PushedError> {
    let key = key(name, sequence);
    let invalid = |reason: String| PushedError::Record {
        name: name.to_string(),
        sequence,
        reason,
    };
    let unreadable = |error: serde_json::Error| invalid(error.to_string());
    let bytes = match storage.get(&key, LIMIT).await {
        Ok(Some(bytes)) => bytes,
        // Listed, but not found: a cache on the way.
        Ok(None) => return Err(StorageError::Missing { key }.into()),
        Err(StorageError::TooLarge { size, .. }) => {
            return Err(invalid(format!("it has {size} bytes")));
        }
        Err(error) => return Err(error.into()),
    };
    let format = read_format(&bytes).map_err(unreadable)?;
    if format != u64::from(super::FORMAT) {
        return Err(invalid(format!(
            "format {format} is unknown to this program"
        )));
    }
    let record: NameRecord = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if (&record.name, record.sequence) != (name, sequence) {
        let (name, sequence) = (&record.name, record.sequence);
        return Err(invalid(format!(
            "it has the name {name} and sequence {sequence}, which are not those of its key"
        )));
    }
    if !is_digest(&record.digest) {
        return Err(invalid(format!("{:?} is not a digest", record.digest)));
    }
    Ok(record)
}

fn key(name: &DatasetName, sequence: u64) -> String {
    format!("{NAMES}/{name}/{}", record_file(sequence))
}

pub(super) fn parse_key(key: &str) -> Option<(DatasetName, u64)> {
    let (name, file) = key
        .strip_prefix(NAMES)?
        .strip_prefix('/')?
        .split_once('/')?;
    Some((name.parse().ok()?, parse_record_file(file)?))
}
