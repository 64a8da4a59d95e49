//! What an operator decides: promote, drop what stands beside the primary, roll back, release. Each takes the sequence that the operator last saw.
//!
//! Works with no trainer alive, and past a newest record that this program does not understand (but a canary
//! or shadow, which needs to know what it stands beside).

use super::{
    AppendError, Proposal, Refused, append, lost, record,
    routes::{append_servable, servable, whole},
};
use crate::{
    id::{CheckpointId, ModelName},
    keys,
    manifest::Manifest,
    record::{Reason, Role, Route, ServingRecord},
    storage::{Storage, StorageError},
};

/// What an operator lets serve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// Its part.
    pub role: Role,
    /// Share of a canary, more than 0 and less than 1; `None` for the others.
    pub share: Option<f64>,
}

/// Lets a candidate serve, and holds it there: automatic promotion stops until [`release`].
///
/// A primary takes all requests, and what stood beside the old one ends. A canary takes its share from the
/// primary of the newest record, in place of an earlier canary; a shadow takes none, in place of an earlier
/// shadow. Not cancel-safe: when dropped, the record may be there or still appear.
///
/// # Errors
/// [`AppendError::Refused`] for a checkpoint that may not serve, a share that cannot be, or a canary or
/// shadow of other inputs or labels than the primary's; [`AppendError::Lost`]; [`AppendError::Storage`].
pub async fn promote(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    candidate: Candidate,
    by: &str,
) -> Result<ServingRecord, AppendError> {
    let head = seen(storage, model, expected).await?;
    let manifest = servable(storage, model, candidate.checkpoint).await?;
    let routes = routes_with(storage, model, head, candidate, &manifest).await?;
    let proposal = Proposal {
        routes,
        hold: true,
        reason: Reason::Promoted,
        by: by.to_owned(),
    };
    append_servable(storage, model, expected, proposal).await
}

/// Ends canary and shadow: the primary answers everything again, and is held. Not cancel-safe: when dropped, the
/// record may be there or still appear.
///
/// # Errors
/// [`AppendError::Refused`] when nothing stands beside the primary, or it may not serve any more;
/// [`AppendError::Lost`]; [`AppendError::Storage`].
pub async fn drop_candidates(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    by: &str,
) -> Result<ServingRecord, AppendError> {
    let head = seen(storage, model, expected).await??;
    let primary = head.primary().filter(|_| head.routes.len() > 1);
    let primary = primary.ok_or(Refused::NoCandidates)?;
    servable(storage, model, primary).await?;
    let proposal = Proposal {
        routes: whole(primary),
        hold: true,
        reason: Reason::Promoted,
        by: by.to_owned(),
    };
    append_servable(storage, model, expected, proposal).await
}

/// Serves again what record `to` named, and holds it; 0 means the newest record before `expected` that names
/// another primary. Not cancel-safe: when dropped, the record may be there or still appear.
///
/// # Errors
/// [`AppendError::Refused`] when there is no such record or its checkpoints may not serve any more;
/// [`AppendError::Lost`]; [`AppendError::Storage`].
pub async fn rollback(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    to: u64,
    by: &str,
) -> Result<ServingRecord, AppendError> {
    let head = seen(storage, model, expected).await?;
    let target = match to {
        0 => other_primary(storage, model, expected, head.ok().as_ref()).await?,
        to if to > expected => return Err(Refused::UnknownRecord(to).into()),
        to => record(storage, model, to)
            .await?
            .ok_or(Refused::UnknownRecord(to))?,
    };
    for route in &target.routes {
        servable(storage, model, route.checkpoint).await?;
    }
    let proposal = Proposal {
        routes: target.routes,
        hold: true,
        reason: Reason::RolledBack,
        by: by.to_owned(),
    };
    append_servable(storage, model, expected, proposal).await
}

/// Lifts the hold: what serves stays, and the next published checkpoint may be promoted by its policy.
/// Not cancel-safe: when dropped, the record may be there or still appear.
///
/// # Errors
/// [`AppendError::Refused`] when nothing is held; [`AppendError::Lost`]; [`AppendError::Storage`].
pub async fn release(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    by: &str,
) -> Result<ServingRecord, AppendError> {
    let head = seen(storage, model, expected).await??;
    if !head.hold {
        return Err(Refused::NotHeld.into());
    }
    let proposal = Proposal {
        routes: head.routes,
        hold: false,
        reason: Reason::Released,
        by: by.to_owned(),
    };
    append(storage, model, expected, proposal).await
}

/// The record that the operator saw as the newest, or why what serves is not known: the log is empty, or this program
/// does not understand it. When it is not the newest any more the operator has lost, whatever else is wrong.
async fn seen(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
) -> Result<Result<ServingRecord, Refused>, AppendError> {
    let next = expected
        .checked_add(1)
        .ok_or(Refused::UnknownRecord(expected))?;
    if storage.exists(&keys::record(model, next)).await? {
        return Err(lost(storage, model, next).await);
    }
    if expected == 0 {
        return Ok(Err(Refused::NothingServes));
    }
    match record(storage, model, expected).await {
        Ok(Some(head)) => Ok(Ok(head)),
        Ok(None) => Err(Refused::UnknownRecord(expected).into()),
        Err(StorageError::Unreadable { .. } | StorageError::TooLarge { .. }) => {
            Ok(Err(Refused::HeadUnknown))
        }
        Err(error) => Err(error.into()),
    }
}

async fn routes_with(
    storage: &Storage,
    model: &ModelName,
    head: Result<ServingRecord, Refused>,
    candidate: Candidate,
    manifest: &Manifest,
) -> Result<Vec<Route>, AppendError> {
    let refuse = |field, reason| Err(Refused::Candidate { field, reason }.into());
    let share = match (candidate.role, candidate.share) {
        (Role::Primary, None) => return Ok(whole(candidate.checkpoint)),
        (Role::Shadow, None) => 0.0,
        (Role::Canary, Some(share)) if share > 0.0 && share < 1.0 => share,
        (Role::Canary, _) => return refuse("share", "a canary needs one between 0 and 1"),
        (Role::Primary | Role::Shadow, Some(_)) => return refuse("share", "only for a canary"),
    };
    let head = head?;
    let primary = head.primary().ok_or(Refused::HeadUnknown)?;
    if primary == candidate.checkpoint {
        return refuse("checkpoint_id", "it is the primary already");
    }
    let beside = servable(storage, model, primary).await?;
    if beside.input != manifest.input || beside.labels != manifest.labels {
        return refuse(
            "checkpoint_id",
            "its inputs or labels are not those of the primary",
        );
    }
    let stays = |route: &&Route| {
        route.checkpoint != candidate.checkpoint
            && route.role != candidate.role
            && route.role != Role::Primary
    };
    let mut routes: Vec<Route> = head.routes.iter().filter(stays).cloned().collect();
    routes.push(Route {
        checkpoint: candidate.checkpoint,
        role: candidate.role,
        share,
    });
    let taken: f64 = routes.iter().map(|route| route.share).sum();
    routes.insert(
        0,
        Route {
            checkpoint: primary,
            role: Role::Primary,
            share: 1.0 - taken,
        },
    );
    Ok(routes)
}

async fn other_primary(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    head: Option<&ServingRecord>,
) -> Result<ServingRecord, AppendError> {
    let current = head.and_then(ServingRecord::primary);
    for sequence in (1..expected).rev() {
        match record(storage, model, sequence).await {
            Ok(Some(record)) if record.primary() != current => return Ok(record),
            Ok(_) | Err(StorageError::Unreadable { .. } | StorageError::TooLarge { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refused::NothingEarlier.into())
}
