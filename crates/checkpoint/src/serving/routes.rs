//! What routes may be, and whether their checkpoints may serve.

use super::{AppendError, Proposal, Refused, append};
use crate::{
    catalog,
    id::{CheckpointId, ModelName},
    keys,
    manifest::Manifest,
    record::{Reason, Role, Route, ServingRecord},
    storage::{Storage, StorageError},
};

/// Routes of a record.
const LIMIT: usize = 16;
/// Records that are searched for what served before.
const SEARCHED: usize = 1000;
/// How far the shares may be from 1.
const ROUNDING: f64 = 1e-9;

/// Checks routes by themselves: one primary, no checkpoint twice, shares that make 1, none for a shadow.
pub(super) fn check(routes: &[Route]) -> Result<(), String> {
    if routes.len() > LIMIT {
        return Err(format!("more than {LIMIT} routes"));
    }
    let primaries = routes.iter().filter(|route| route.role == Role::Primary);
    if primaries.count() != 1 {
        return Err("there must be one primary".into());
    }
    for (index, route) in routes.iter().enumerate() {
        if routes[..index]
            .iter()
            .any(|other| other.checkpoint == route.checkpoint)
        {
            return Err(format!("checkpoint {} has two parts", route.checkpoint));
        }
        let possible = match route.role {
            Role::Shadow => route.share == 0.0,
            Role::Primary | Role::Canary => (0.0..=1.0).contains(&route.share),
        };
        if !possible {
            return Err(format!(
                "share {} is none for a {}",
                route.share,
                route.role.as_str()
            ));
        }
    }
    let sum: f64 = routes.iter().map(|route| route.share).sum();
    if (sum - 1.0).abs() > ROUNDING {
        return Err(format!("the shares make {sum} instead of 1"));
    }
    Ok(())
}

/// All requests to one checkpoint.
pub(super) fn whole(checkpoint: CheckpointId) -> Vec<Route> {
    vec![Route {
        checkpoint,
        role: Role::Primary,
        share: 1.0,
    }]
}

/// The manifest of a checkpoint that may serve `model`.
pub(super) async fn servable(
    storage: &Storage,
    model: &ModelName,
    id: CheckpointId,
) -> Result<Manifest, AppendError> {
    // Before the manifest, as retention deletes it after the manifest: who finds neither tombstone nor deletion in
    // this order began before the tombstone was written, and is waited for. In the other order both could be over
    // between the two looks.
    let buried = storage.exists(&keys::file(id, keys::TOMBSTONE)).await?;
    let manifest = catalog::manifest(storage, id)
        .await?
        .ok_or(Refused::UnknownCheckpoint(id))?;
    if manifest.model != *model {
        let model = manifest.model;
        return Err(Refused::OtherModel { id, model }.into());
    }
    if buried {
        return Err(Refused::Tombstoned(id).into());
    }
    Ok(manifest)
}

/// Appends after `expected`, and sees to it that retention did not take a checkpoint away meanwhile.
///
/// The caller has found all checkpoints [`servable`]. Retention writes its tombstone, waits, and reads the
/// log again before it deletes; so either it sees this record and spares the checkpoint, or the tombstone is
/// seen here, after the record was written, and the record is taken back.
pub(super) async fn append_servable(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    proposal: Proposal,
) -> Result<ServingRecord, AppendError> {
    let record = append(storage, model, expected, proposal).await?;
    confirm(storage, model, &record).await?;
    Ok(record)
}

/// Takes back `record`, the newest, when one of its checkpoints was taken away: what served last before it, and is
/// still there, serves again, with the hold that stood.
pub(super) async fn confirm(
    storage: &Storage,
    model: &ModelName,
    record: &ServingRecord,
) -> Result<(), AppendError> {
    let Some(id) = first_taken_away(storage, &record.routes).await? else {
        return Ok(());
    };
    let mut hold = None;
    for sequence in (1..record.sequence).rev().take(SEARCHED) {
        let before = match super::record(storage, model, sequence).await {
            Ok(Some(before)) => before,
            Ok(None) | Err(StorageError::Unreadable { .. } | StorageError::TooLarge { .. }) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let hold = *hold.get_or_insert(before.hold);
        // Another one that was being taken back, perhaps.
        if first_taken_away(storage, &before.routes).await?.is_some() {
            continue;
        }
        let proposal = Proposal {
            routes: before.routes,
            hold,
            reason: Reason::RolledBack,
            by: record.by.clone(),
        };
        match append(storage, model, record.sequence, proposal).await {
            // Lost: someone has decided anew already.
            Ok(_) | Err(AppendError::Lost { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Err(Refused::Tombstoned(id).into())
}

async fn first_taken_away(
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
