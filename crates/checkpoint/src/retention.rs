//! Deletes what nothing needs any more; the only place that deletes.
//!
//! In two rounds, so that a promotion that is under way is not undercut: a checkpoint that nothing protects
//! gets a tombstone; once that has stood for the grace time, and the serving log, read again, still does not
//! name it, it is deleted, the manifest first. Serving records are never deleted.

mod plan;

pub use plan::{Inventory, Plan, Rules, State, StoredCheckpoint, plan};

use crate::{
    catalog,
    id::{CheckpointId, ModelName},
    keys, serving,
    storage::{Entry, Storage, StorageError, TEXT_LIMIT},
};
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What the last so many records of a serving log name is never deleted …
const PROTECTED_RECORDS: u64 = 1000;
/// … nor what served within this time.
const PROTECTED_TIME: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Records that are read at once.
const CONCURRENT_READS: usize = 16;

/// `checkpoints/<id>/tombstone.json`: the checkpoint is about to be deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tombstone {
    /// Version of the layout.
    format: u32,
    /// When it was written, by the clock of who wrote it.
    at: Timestamp,
}

/// What [`apply`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Got a tombstone.
    pub buried: Vec<CheckpointId>,
    /// Lost its tombstone, because something needs it again.
    pub spared: Vec<CheckpointId>,
    /// Are gone.
    pub deleted: Vec<CheckpointId>,
}

/// Looks at the storage, plans and carries the plan out. `keep` names what only the caller knows to be
/// needed: parents of queued jobs, checkpoints that are being published.
///
/// May be stopped anywhere and run again; not to be run twice at once (harmless, but both report). Not
/// cancel-safe: when dropped, a part is done.
///
/// # Errors
/// [`StorageError::Unreadable`] when a serving record that may protect something cannot be understood
/// (nothing is deleted then); else what the store said.
pub async fn apply(
    storage: &Storage,
    rules: &Rules,
    keep: &BTreeSet<CheckpointId>,
    now: Timestamp,
) -> Result<Report, StorageError> {
    let inventory = take_inventory(storage, now).await?;
    let Plan {
        bury,
        spare,
        delete,
    } = plan(now, rules, &inventory, keep);
    for &id in &spare {
        storage.delete(&keys::file(id, keys::TOMBSTONE)).await?;
    }
    for &id in &delete {
        delete_checkpoint(storage, id).await?;
    }
    for &id in &bury {
        bury_checkpoint(storage, id, now).await?;
    }
    Ok(Report {
        buried: bury,
        spared: spare,
        deleted: delete,
    })
}

/// What lies on the storage, and what the serving logs protect at `now`. Cancel-safe.
///
/// # Errors
/// As [`apply`].
pub async fn take_inventory(storage: &Storage, now: Timestamp) -> Result<Inventory, StorageError> {
    let mut files: BTreeMap<CheckpointId, Vec<(String, Entry)>> = BTreeMap::new();
    for entry in storage.list(keys::CHECKPOINTS, None).await? {
        if let Some((id, name)) = keys::parse_file(&entry.key) {
            let name = name.to_owned();
            files.entry(id).or_default().push((name, entry));
        }
    }
    let mut checkpoints = Vec::with_capacity(files.len());
    for (id, files) in files {
        checkpoints.push(inspect(storage, id, &files, now).await?);
    }
    // Read after the tombstones: a promotion that did not see one that has stood for the grace time has
    // written its record by now.
    Ok(Inventory {
        checkpoints,
        referenced: recently_referenced(storage, now).await?,
    })
}

async fn inspect(
    storage: &Storage,
    id: CheckpointId,
    files: &[(String, Entry)],
    now: Timestamp,
) -> Result<StoredCheckpoint, StorageError> {
    let has = |wanted: &str| files.iter().any(|(name, _)| name == wanted);
    let state = if has(keys::MANIFEST) {
        match catalog::manifest(storage, id).await {
            Ok(Some(manifest)) => State::Committed {
                model: manifest.model,
                created_at: manifest.created_at,
            },
            Ok(None) => State::Uncommitted { touched: now },
            Err(error) if error.is_unreadable() => State::Unreadable,
            Err(error) => return Err(error),
        }
    } else {
        let written = files.iter().filter(|(name, _)| name != keys::TOMBSTONE);
        let touched = written.map(|(_, entry)| entry.modified).max();
        State::Uncommitted {
            touched: touched.unwrap_or(Timestamp::UNIX_EPOCH),
        }
    };
    let tombstone = if has(keys::TOMBSTONE) {
        let bytes = storage
            .get(&keys::file(id, keys::TOMBSTONE), TEXT_LIMIT)
            .await?;
        // One that cannot be read starts its grace time over and over: nothing is deleted by it.
        bytes.map(|bytes| {
            serde_json::from_slice(&bytes).map_or(now, |tombstone: Tombstone| tombstone.at)
        })
    } else {
        None
    };
    Ok(StoredCheckpoint {
        id,
        state,
        tombstone,
    })
}

/// The checkpoints that serving records name: the last [`PROTECTED_RECORDS`] of each model, all of
/// [`PROTECTED_TIME`], and the one that was in force when that time began.
async fn recently_referenced(
    storage: &Storage,
    now: Timestamp,
) -> Result<BTreeSet<CheckpointId>, StorageError> {
    let mut logs: BTreeMap<ModelName, Vec<u64>> = BTreeMap::new();
    for entry in storage.list(keys::SERVING, None).await? {
        if let Some((model, sequence)) = keys::parse_record(&entry.key) {
            logs.entry(model).or_default().push(sequence);
        }
    }
    let mut referenced = BTreeSet::new();
    for (model, mut sequences) in logs {
        sequences.sort_unstable();
        let mut records = stream::iter(sequences.into_iter().rev())
            .map(|sequence| serving::expect_record(storage, &model, sequence))
            .buffered(CONCURRENT_READS);
        let mut seen = 0;
        while let Some(record) = records.next().await {
            let record = record?;
            referenced.extend(record.routes.iter().map(|route| route.checkpoint));
            seen += 1;
            if seen >= PROTECTED_RECORDS && now.duration_since(record.at) > PROTECTED_TIME {
                break;
            }
        }
    }
    Ok(referenced)
}

async fn bury_checkpoint(
    storage: &Storage,
    id: CheckpointId,
    now: Timestamp,
) -> Result<(), StorageError> {
    let tombstone = Tombstone {
        format: crate::manifest::FORMAT,
        at: now,
    };
    let text = serde_json::to_vec_pretty(&tombstone).expect("a tombstone is plain data");
    // Theirs: another run buried it first.
    storage
        .create(&keys::file(id, keys::TOMBSTONE), text.into())
        .await?;
    Ok(())
}

/// The manifest first: without it there is no checkpoint, whatever else is left. The tombstone last: while
/// it stands, the next run goes on with this one.
async fn delete_checkpoint(storage: &Storage, id: CheckpointId) -> Result<(), StorageError> {
    for name in [keys::MANIFEST, keys::MODEL, keys::EXAM, keys::TOMBSTONE] {
        storage.delete(&keys::file(id, name)).await?;
    }
    if let Some(folder) = storage.folder() {
        // Staging files of a killed writer, which the store does not show, and the folder itself.
        let folder = folder.join(keys::CHECKPOINTS).join(id.to_string());
        let swept = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await?;
        if let Err(error) = swept
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(checkpoint = %id, %error, "folder of a deleted checkpoint stays");
        }
    }
    Ok(())
}
