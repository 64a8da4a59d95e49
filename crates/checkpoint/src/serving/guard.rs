//! Appends records so that no deletion by retention goes unnoticed.
//!
//! The writer checks its checkpoints before ([`servable`], [`still_servable`]) and after writing
//! ([`append_servable`]).
//! Retention writes a tombstone, waits for the grace time and reads the log again before it
//! deletes. So either retention sees the new record and keeps the checkpoint, or the writer sees
//! the tombstone and reverts its record.

use super::{
    error::{AppendError, PromotionError},
    log::{self, Proposal, append},
};
use crate::{
    catalog::{self, StoredManifest},
    id::{CheckpointId, ModelName},
    keys,
    record::{Reason, Route, ServingRecord},
    storage::{Storage, StorageError},
};

/// Records that are searched for the one to revert to.
const SEARCHED: usize = 1000;

/// The manifest of a checkpoint that may serve `model`, signed as the storage requires.
pub(super) async fn servable(
    storage: &Storage,
    model: &ModelName,
    id: CheckpointId,
) -> Result<StoredManifest, AppendError> {
    let stored = present(storage, model, id).await?;
    match stored.signature.clone() {
        Ok(()) => Ok(stored),
        Err(reason) => Err(PromotionError::Untrusted { id, reason }.into()),
    }
}

async fn present(
    storage: &Storage,
    model: &ModelName,
    id: CheckpointId,
) -> Result<StoredManifest, AppendError> {
    // The tombstone before the manifest, because retention deletes it after the manifest: a writer
    // that finds the manifest and no tombstone in this order began before the tombstone was
    // written, and retention waits for it. In the other order the whole deletion could fall between
    // the two reads.
    let tombstoned = storage.exists(&keys::file(id, keys::TOMBSTONE)).await?;
    let stored = catalog::stored_manifest(storage, id)
        .await?
        .ok_or(PromotionError::UnknownCheckpoint(id))?;
    if stored.manifest.model != *model {
        let model = stored.manifest.model;
        return Err(PromotionError::OtherModel { id, model }.into());
    }
    if tombstoned {
        return Err(PromotionError::Tombstoned(id).into());
    }
    Ok(stored)
}

/// As [`servable`], for the checkpoint of an earlier record's route: its manifest must still be the
/// one that was promoted. That record vouches for it, so that it needs no signature of its own.
pub(super) async fn still_servable(
    storage: &Storage,
    model: &ModelName,
    route: &Route,
) -> Result<StoredManifest, AppendError> {
    match route.manifest_sha256 {
        Some(_) => promised(storage, model, route).await,
        None => servable(storage, model, route.checkpoint).await,
    }
}

/// The manifest of a route's checkpoint, signed or not, which is the one that was promoted if the
/// route has its digest.
pub(super) async fn promised(
    storage: &Storage,
    model: &ModelName,
    route: &Route,
) -> Result<StoredManifest, AppendError> {
    let stored = present(storage, model, route.checkpoint).await?;
    match &route.manifest_sha256 {
        Some(expected) if *expected != stored.sha256 => Err(PromotionError::ManifestChanged {
            id: route.checkpoint,
            expected: expected.clone(),
            found: stored.sha256,
        }
        .into()),
        _ => Ok(stored),
    }
}

/// Appends after `expected`, and reverts the record if one of its checkpoints was deleted
/// meanwhile. The caller has found all checkpoints [`servable`].
pub(super) async fn append_servable(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    proposal: Proposal,
) -> Result<ServingRecord, AppendError> {
    let record = append(storage, model, expected, proposal).await?;
    revert_if_deleted(storage, model, &record).await?;
    Ok(record)
}

/// Reverts `record`, the newest, if one of its checkpoints is deleted or about to be: the last
/// record before it whose checkpoints exist is appended again, with the hold of the record before.
pub(super) async fn revert_if_deleted(
    storage: &Storage,
    model: &ModelName,
    record: &ServingRecord,
) -> Result<(), AppendError> {
    let Some(id) = first_deleted(storage, &record.routes).await? else {
        return Ok(());
    };
    let mut hold = None;
    for sequence in (1..record.sequence).rev().take(SEARCHED) {
        let before = match log::record(storage, model, sequence).await {
            Ok(Some(before)) => before,
            Ok(None) => continue,
            Err(error) if error.is_unreadable() => continue,
            Err(error) => return Err(error.into()),
        };
        let hold = *hold.get_or_insert(before.hold);
        // This one may be waiting to be reverted as well.
        if first_deleted(storage, &before.routes).await?.is_some() {
            continue;
        }
        let proposal = Proposal {
            routes: before.routes,
            hold,
            reason: Reason::RolledBack,
            by: record.by.clone(),
            note: record.note.clone(),
        };
        match append(storage, model, record.sequence, proposal).await {
            // Lost: another writer has decided already.
            Ok(_) | Err(AppendError::Lost { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Err(PromotionError::Tombstoned(id).into())
}

/// The first checkpoint that has a tombstone or no manifest.
async fn first_deleted(
    storage: &Storage,
    routes: &[Route],
) -> Result<Option<CheckpointId>, StorageError> {
    for route in routes {
        let id = route.checkpoint;
        if storage.exists(&keys::file(id, keys::TOMBSTONE)).await?
            || !storage.exists(&keys::file(id, keys::MANIFEST)).await?
        {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
