//! Lists the pushed data sets of a storage, in pages.

use super::{
    DatasetName, FOLDER, MANIFEST, Manifest, NameRecord, PushedError, is_digest, manifest,
    names::{parse_key, records},
};
use digits_checkpoint::Storage;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Manifests that are read concurrently.
const CONCURRENT_READS: usize = 16;
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

/// All pushed data sets, by name and the newest of each first; unreadable ones are left out with a
/// warning. Cancel-safe.
///
/// # Errors
/// The storage's error.
pub async fn list(storage: &Storage) -> Result<Vec<Listed>, PushedError> {
    list_after(storage, None, usize::MAX).await
}

/// The first `limit` of [`list`], or the first ones after a position. Cancel-safe.
///
/// # Errors
/// The storage's error.
pub async fn list_after(
    storage: &Storage,
    after: Option<&ListPosition>,
    limit: usize,
) -> Result<Vec<Listed>, PushedError> {
    let mut listed = Vec::new();
    for chunk in records_after(storage, after).await?.chunks(CHUNK) {
        if listed.len() >= limit {
            break;
        }
        let manifests = manifests(storage, chunk).await?;
        listed.extend(chunk.iter().filter_map(|(record, superseded)| {
            let manifest = manifests.get(&record.digest)?.clone();
            Some(Listed {
                record: record.clone(),
                manifest: manifest.read_as(record.picture_normalization),
                superseded: *superseded,
            })
        }));
    }
    listed.truncate(limit);
    Ok(listed)
}

/// The newest record of each name and content after a position, and whether its name has newer
/// content.
async fn records_after(
    storage: &Storage,
    after: Option<&ListPosition>,
) -> Result<Vec<(NameRecord, bool)>, PushedError> {
    let mut names: BTreeMap<DatasetName, Vec<u64>> = BTreeMap::new();
    let mut digests = BTreeSet::new();
    for entry in storage.list(FOLDER, None).await? {
        if let Some((name, sequence)) = parse_key(&entry.key) {
            names.entry(name).or_default().push(sequence);
        } else if let Some(digest) = parse_manifest_key(&entry.key) {
            digests.insert(digest.to_owned());
        }
    }
    let mut found = Vec::new();
    for (name, mut sequences) in names {
        if after.is_some_and(|after| name < after.name) {
            continue;
        }
        sequences.sort_unstable_by(|left, right| right.cmp(left));
        let newest = sequences.first().copied();
        let mut seen = BTreeSet::new();
        for record in records(storage, &name, &sequences).await? {
            let superseded = Some(record.sequence) != newest;
            let is_after =
                after.is_none_or(|after| name != after.name || record.sequence < after.sequence);
            // A newer record of the same content counts even if it is on an earlier page.
            let is_new = digests.contains(&record.digest) && seen.insert(record.digest.clone());
            if is_new && is_after {
                found.push((record, superseded));
            }
        }
    }
    Ok(found)
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
