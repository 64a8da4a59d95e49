//! Lists the pushed data sets of a storage, in pages.

use super::{
    DatasetName, FOLDER, MANIFEST, Manifest, NAMES, NameRecord, PushedError, is_digest, manifest,
    names::{RECORDS, parse_key, readable_record},
};
use digits_checkpoint::Storage;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::ready,
    pin::pin,
};

/// Records or manifests that are read concurrently.
const CONCURRENT_READS: usize = 32;
/// Manifests that are read before the length of the list is checked.
const CHUNK: usize = 100;

/// A pushed data set in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The newest record of this name and content.
    pub record: NameRecord,
    /// Manifest of the content, with the picture normalization of the record.
    pub manifest: Manifest,
    /// Whether the name has newer content.
    pub superseded: bool,
}

/// Where a pushed data set is in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPosition {
    /// Its name.
    pub name: DatasetName,
    /// Number of its record.
    pub sequence: u64,
}

impl Listed {
    /// Where it is in the list.
    #[must_use]
    pub fn position(&self) -> ListPosition {
        ListPosition {
            name: self.record.name.clone(),
            sequence: self.record.sequence,
        }
    }
}

/// The names of all pushed data sets, without reading any record. Cancel-safe.
///
/// # Errors
/// The storage's error.
pub async fn names(storage: &Storage) -> Result<Vec<DatasetName>, PushedError> {
    let entries = storage.list(NAMES, None).await?;
    let names = entries.iter().filter_map(|entry| parse_key(&entry.key));
    let names: BTreeSet<DatasetName> = names.map(|(name, _)| name).collect();
    Ok(names.into_iter().collect())
}

/// All pushed data sets, by name and the newest of each first; unreadable ones are left out with a
/// warning. Cancel-safe.
///
/// # Errors
/// The storage's error.
pub async fn list(storage: &Storage) -> Result<Vec<Listed>, PushedError> {
    list_after(storage, None, usize::MAX).await
}

/// The part of [`list`] that has this name. Cancel-safe.
///
/// # Errors
/// The storage's error.
pub async fn list_of(storage: &Storage, name: &DatasetName) -> Result<Vec<Listed>, PushedError> {
    let mut keys = Keys::list(storage).await?;
    keys.names.retain(|known, _| known == name);
    read(storage, &keys, None, usize::MAX).await
}

/// The first `limit` of [`list`], or the first ones after a position. Little more than these is
/// read. Cancel-safe.
///
/// # Errors
/// The storage's error.
pub async fn list_after(
    storage: &Storage,
    after: Option<&ListPosition>,
    limit: usize,
) -> Result<Vec<Listed>, PushedError> {
    let mut keys = Keys::list(storage).await?;
    if let Some(after) = after {
        keys.names = keys.names.split_off(&after.name);
    }
    read(storage, &keys, after, limit).await
}

/// What the keys of a storage say.
#[derive(Default)]
struct Keys {
    /// The sequences of the records of each name, the newest first.
    names: BTreeMap<DatasetName, Vec<u64>>,
    /// The contents that are complete.
    digests: BTreeSet<String>,
}

impl Keys {
    async fn list(storage: &Storage) -> Result<Self, PushedError> {
        let mut keys = Self::default();
        for entry in storage.list(FOLDER, None).await? {
            if let Some((name, sequence)) = parse_key(&entry.key) {
                keys.names.entry(name).or_default().push(sequence);
            } else if let Some(digest) = parse_manifest_key(&entry.key) {
                keys.digests.insert(digest.to_owned());
            }
        }
        for sequences in keys.names.values_mut() {
            sequences.sort_unstable_by(|left, right| right.cmp(left));
        }
        Ok(keys)
    }
}

async fn read(
    storage: &Storage,
    keys: &Keys,
    after: Option<&ListPosition>,
    limit: usize,
) -> Result<Vec<Listed>, PushedError> {
    let mut listed = Vec::new();
    let mut records = pin!(records_after(storage, keys, after));
    while listed.len() < limit {
        let next = CHUNK.min(limit - listed.len());
        let chunk: Vec<_> = records.as_mut().take(next).try_collect().await?;
        if chunk.is_empty() {
            break;
        }
        let manifests = manifests(storage, &chunk).await?;
        listed.extend(chunk.into_iter().filter_map(|(record, superseded)| {
            let manifest = manifests.get(&record.digest)?.clone();
            Some(Listed {
                manifest: manifest.read_as(record.picture_normalization),
                record,
                superseded,
            })
        }));
    }
    Ok(listed)
}

/// The newest record of each name and content after a position, and whether its name has newer
/// content. Records are read as the stream is.
fn records_after<'a>(
    storage: &'a Storage,
    keys: &'a Keys,
    after: Option<&'a ListPosition>,
) -> impl Stream<Item = Result<(NameRecord, bool), PushedError>> + 'a {
    let of_names = keys.names.iter().flat_map(|(name, sequences)| {
        let sequences = sequences.iter().take(RECORDS);
        sequences.map(move |&sequence| (name, sequence))
    });
    // The contents of the newer records of the same name.
    let mut newer: Option<(DatasetName, BTreeSet<String>)> = None;
    stream::iter(of_names)
        .map(|(name, sequence)| readable_record(storage, name, sequence))
        .buffered(CONCURRENT_READS)
        .try_filter_map(move |record| {
            let found = record.filter(|record| {
                let newer = match &mut newer {
                    Some((name, newer)) if *name == record.name => newer,
                    other => &mut other.insert((record.name.clone(), BTreeSet::new())).1,
                };
                let is_after = after.is_none_or(|after| {
                    record.name != after.name || record.sequence < after.sequence
                });
                // A newer record of the same content counts even if it is on an earlier page.
                let is_new =
                    keys.digests.contains(&record.digest) && newer.insert(record.digest.clone());
                is_new && is_after
            });
            let found = found.map(|record| {
                let superseded = keys.names[&record.name].first() != Some(&record.sequence);
                (record, superseded)
            });
            ready(Ok(found))
        })
}

async fn manifests(
    storage: &Storage,
    records: &[(NameRecord, bool)],
) -> Result<HashMap<String, Manifest>, PushedError> {
    let digests: BTreeSet<String> = records
        .iter()
        .map(|(record, _)| record.digest.clone())
        .collect();
    stream::iter(digests)
        .map(|digest| async move {
            match manifest(storage, &digest).await {
                Ok(found) => Ok(found.map(|manifest| (digest, manifest))),
                Err(error @ (PushedError::Damaged { .. } | PushedError::Format { .. })) => {
                    tracing::warn!(%error, "unreadable manifest: the pushed data set is left out of the list");
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })
        .buffer_unordered(CONCURRENT_READS)
        .try_filter_map(|found| async { Ok(found) })
        .try_collect()
        .await
}

fn parse_manifest_key(key: &str) -> Option<&str> {
    let (digest, file) = key
        .strip_prefix(FOLDER)?
        .strip_prefix('/')?
        .split_once('/')?;
    (file == MANIFEST && is_digest(digest)).then_some(digest)
}
