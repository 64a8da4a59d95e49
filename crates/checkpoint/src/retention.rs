//! The retention sweep: deletes checkpoints that nothing needs any more. Nothing else deletes.
//!
//! In two steps, so that no concurrent promotion loses its checkpoint: an unprotected checkpoint
//! gets a tombstone. After the grace time the serving log is read again; if it still does not name
//! the checkpoint, the checkpoint is deleted, the manifest first. The mark of a cancelled or failed
//! job goes when the job has no checkpoint any more. Serving records are never deleted.

mod plan;

pub use plan::{Inventory, Plan, Rules, State, StoredCheckpoint, plan};

use crate::{
    catalog,
    id::{CheckpointId, ModelName},
    keys, serving,
    storage::{Entry, Storage, StorageError, TEXT_LIMIT},
    unfinished,
};
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Checkpoints named by this many newest records of a serving log are never deleted.
const PROTECTED_RECORDS: u64 = 1000;
/// Checkpoints that served within this time are never deleted.
const PROTECTED_TIME: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Records that are read concurrently.
const CONCURRENT_READS: usize = 16;

/// `checkpoints/<id>/tombstone.json`: the checkpoint is about to be deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tombstone {
    /// Version of the layout.
    format: u32,
    /// When it was written, by the writer's clock.
    at: Timestamp,
}

/// The result of [`apply`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Checkpoints that got a tombstone.
    pub buried: Vec<CheckpointId>,
    /// Checkpoints whose tombstone was removed, because they are needed again.
    pub spared: Vec<CheckpointId>,
    /// Deleted checkpoints.
    pub deleted: Vec<CheckpointId>,
    /// Jobs whose mark as cancelled or failed was deleted.
    pub unmarked: Vec<String>,
}

/// Sweeps the storage once. `keep` has the checkpoints that only the caller knows to be needed:
/// parents of queued jobs, and checkpoints that are being published.
///
/// May be interrupted anywhere and run again. Two concurrent runs are harmless, but both report the
/// same work. Not cancel-safe: when dropped, a part is done.
///
/// # Errors
/// [`StorageError::Unreadable`] when a serving record that may protect something cannot be
/// understood (nothing is deleted then); else the store's error.
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
        unmark,
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
    for mark in &unmark {
        unfinished::unmark(storage, mark).await?;
    }
    Ok(Report {
        buried: bury,
        spared: spare,
        deleted: delete,
        unmarked: unmark.into_iter().map(|mark| mark.job).collect(),
    })
}

/// The checkpoints on the storage, and those that the serving logs protect at `now`. Cancel-safe.
///
/// # Errors
/// As [`apply`].
pub async fn take_inventory(storage: &Storage, now: Timestamp) -> Result<Inventory, StorageError> {
    // Before the checkpoints: those of a marked job are there already.
    let marks = unfinished::marks(storage).await?;
    let mut files: BTreeMap<CheckpointId, Vec<(String, Entry)>> = BTreeMap::new();
    for entry in storage.list(keys::CHECKPOINTS, None).await? {
        if let Some((id, name)) = keys::parse_file(&entry.key) {
            let name = name.to_owned();
            files.entry(id).or_default().push((name, entry));
        }
    }
    let mut checkpoints = Vec::with_capacity(files.len());
    let mut jobs = BTreeSet::new();
    for (id, files) in files {
        let (checkpoint, job) = inspect(storage, id, &files, now).await?;
        checkpoints.push(checkpoint);
        jobs.extend(job);
    }
    // Read after the tombstones: a promotion that did not see a tombstone as old as the grace time
    // has written its record by now.
    Ok(Inventory {
        checkpoints,
        referenced: recently_referenced(storage, now).await?,
        jobs,
        marks,
    })
}

/// A checkpoint, and the job that it is of.
async fn inspect(
    storage: &Storage,
    id: CheckpointId,
    files: &[(String, Entry)],
    now: Timestamp,
) -> Result<(StoredCheckpoint, Option<String>), StorageError> {
    let mut job = None;
    let has = |wanted: &str| files.iter().any(|(name, _)| name == wanted);
    let state = if has(keys::MANIFEST) {
        match catalog::manifest(storage, id).await {
            Ok(Some(manifest)) => {
                job = manifest.lineage.job;
                State::Committed {
                    model: manifest.model,
                    created_at: manifest.created_at,
                    after_sequence: manifest.after_sequence,
                }
            }
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
        // An unreadable tombstone restarts its grace time at every sweep, so it deletes nothing.
        bytes.map(|bytes| {
            serde_json::from_slice(&bytes).map_or(now, |tombstone: Tombstone| tombstone.at)
        })
    } else {
        None
    };
    let checkpoint = StoredCheckpoint {
        id,
        state,
        tombstone,
    };
    Ok((checkpoint, job))
}

/// The checkpoints that serving records name: the last [`PROTECTED_RECORDS`] of each model, those
/// of [`PROTECTED_TIME`], and the one in force when that time began.
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
            .map(|sequence| serving::expect_any_record(storage, &model, sequence))
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
    // `Theirs`: another run marked it first.
    storage
        .create(&keys::file(id, keys::TOMBSTONE), text.into())
        .await?;
    Ok(())
}

/// The manifest first, because without it there is no checkpoint. The tombstone last: while it
/// exists, the next run continues the deletion.
async fn delete_checkpoint(storage: &Storage, id: CheckpointId) -> Result<(), StorageError> {
    for name in [keys::MANIFEST, keys::MODEL, keys::EXAM, keys::TOMBSTONE] {
        storage.delete(&keys::file(id, name)).await?;
    }
    if let Some(folder) = storage.folder() {
        // The folder itself, with staging files of a killed writer, which the store hides.
        let folder = folder.join(keys::CHECKPOINTS).join(id.to_string());
        let swept = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await?;
        if let Err(error) = swept
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(checkpoint = %id, %error, "the folder of a deleted checkpoint could not be removed");
        }
    }
    Ok(())
}
