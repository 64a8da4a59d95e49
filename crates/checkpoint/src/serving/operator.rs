//! Operator changes to the serving log: promote, drop candidates, roll back, release.
//!
//! Each takes the sequence that the operator last saw. They need no running trainer, and work when
//! this program does not understand the newest record, except for a canary or shadow, which needs a
//! known primary.

use super::{
    error::{AppendError, PromotionError},
    guard::{append_servable, servable, still_servable},
    log::{Proposal, append, lost, record},
};
use crate::{
    catalog::StoredManifest,
    id::{CheckpointId, ModelName},
    keys,
    record::{Reason, Role, Route, ServingRecord},
    signature::Untrusted,
    storage::{Storage, StorageError},
};

/// A checkpoint that an operator promotes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// Its role.
    pub role: Role,
    /// Share of a canary, more than 0 and less than 1; `None` for the others.
    pub share: Option<f64>,
}

/// Who makes a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Name of the author.
    pub by: String,
    /// What an authenticated author says of itself or of the change.
    pub note: Option<String>,
}

/// An author without a note.
impl From<&str> for Author {
    fn from(by: &str) -> Self {
        Self {
            by: by.to_owned(),
            note: None,
        }
    }
}

/// Promotes a candidate with a hold: automatic promotion stops until [`release`].
///
/// A primary takes all requests, and the canary and shadow of the old one end. A canary takes its
/// share from the primary of the newest record, in place of an earlier canary; a shadow takes none,
/// in place of an earlier shadow. Not cancel-safe: when dropped, the record may exist or still
/// appear.
///
/// # Errors
/// [`AppendError::Refused`] for a checkpoint that may not serve, a share that is not possible, or a
/// canary or shadow whose inputs or labels differ from the primary's; [`AppendError::Lost`];
/// [`AppendError::Storage`].
pub async fn promote(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    candidate: Candidate,
    by: impl Into<Author>,
) -> Result<ServingRecord, AppendError> {
    let head = expected_head(storage, model, expected).await?;
    let stored = servable(storage, model, candidate.checkpoint).await?;
    let routes = routes_with(storage, model, head, candidate, &stored).await?;
    let proposal = held(routes, Reason::Promoted, by.into());
    append_servable(storage, model, expected, proposal).await
}

/// Ends canary and shadow: the primary answers everything again, with a hold. Not cancel-safe: when
/// dropped, the record may exist or still appear.
///
/// # Errors
/// [`AppendError::Refused`] when there is neither canary nor shadow, or the primary may not serve
/// any more; [`AppendError::Lost`]; [`AppendError::Storage`].
pub async fn drop_candidates(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    by: impl Into<Author>,
) -> Result<ServingRecord, AppendError> {
    let head = expected_head(storage, model, expected).await??;
    let primary = head.primary_route().filter(|_| head.routes.len() > 1);
    let primary = primary.ok_or(PromotionError::NoCandidates)?;
    let stored = still_servable(storage, model, primary).await?;
    let routes = vec![stored.route(Role::Primary, 1.0)];
    let proposal = held(routes, Reason::Promoted, by.into());
    append_servable(storage, model, expected, proposal).await
}

/// Appends the routes of record `to` again, with a hold; 0 means the newest record before
/// `expected` that names another primary. Not cancel-safe: when dropped, the record may exist or
/// still appear.
///
/// # Errors
/// [`AppendError::Refused`] when there is no such record or its checkpoints may not serve any more;
/// [`AppendError::Lost`]; [`AppendError::Storage`].
pub async fn rollback(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    to: u64,
    by: impl Into<Author>,
) -> Result<ServingRecord, AppendError> {
    let head = expected_head(storage, model, expected).await?;
    let target = match to {
        0 => other_primary(storage, model, expected, head.ok().as_ref()).await?,
        to if to > expected => return Err(PromotionError::UnknownRecord(to).into()),
        to => match record(storage, model, to).await {
            Err(StorageError::Untrusted { source, .. }) => return Err(untrusted(to, source).into()),
            found => found?.ok_or(PromotionError::UnknownRecord(to))?,
        },
    };
    let mut routes = Vec::with_capacity(target.routes.len());
    for route in &target.routes {
        let stored = still_servable(storage, model, route).await?;
        routes.push(stored.route(route.role, route.share));
    }
    let proposal = held(routes, Reason::RolledBack, by.into());
    append_servable(storage, model, expected, proposal).await
}

/// Lifts the hold: the routes stay, and the next published checkpoint may be promoted by its
/// policy. Not cancel-safe: when dropped, the record may exist or still appear.
///
/// # Errors
/// [`AppendError::Refused`] when there is no hold; [`AppendError::Lost`]; [`AppendError::Storage`].
pub async fn release(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
    by: impl Into<Author>,
) -> Result<ServingRecord, AppendError> {
    let head = expected_head(storage, model, expected).await??;
    if !head.hold {
        return Err(PromotionError::NotHeld.into());
    }
    let author = by.into();
    let proposal = Proposal {
        routes: head.routes,
        hold: false,
        reason: Reason::Released,
        by: author.by,
        note: author.note,
    };
    append(storage, model, expected, proposal).await
}

/// A record with a hold.
fn held(routes: Vec<Route>, reason: Reason, author: Author) -> Proposal {
    Proposal {
        routes,
        hold: true,
        reason,
        by: author.by,
        note: author.note,
    }
}

/// Record `expected`, or why its routes are unknown: the log is empty, or the record has a newer
/// format or is not trusted. [`AppendError::Lost`] comes before any other error when the record is
/// not the newest any more.
async fn expected_head(
    storage: &Storage,
    model: &ModelName,
    expected: u64,
) -> Result<Result<ServingRecord, PromotionError>, AppendError> {
    if expected >= keys::MAX_SEQUENCE {
        return Err(PromotionError::UnknownRecord(expected).into());
    }
    let next = expected + 1;
    if storage.exists(&keys::record(model, next)).await? {
        return Err(lost(storage, model, next).await);
    }
    if expected == 0 {
        return Ok(Err(PromotionError::NothingServes));
    }
    match record(storage, model, expected).await {
        Ok(Some(head)) => Ok(Ok(head)),
        Ok(None) => Err(PromotionError::UnknownRecord(expected).into()),
        Err(StorageError::Untrusted { source, .. }) => Ok(Err(untrusted(expected, source))),
        Err(error) if error.is_unreadable() => Ok(Err(PromotionError::HeadUnknown)),
        Err(error) => Err(error.into()),
    }
}

fn untrusted(sequence: u64, reason: Untrusted) -> PromotionError {
    PromotionError::UntrustedRecord { sequence, reason }
}

async fn routes_with(
    storage: &Storage,
    model: &ModelName,
    head: Result<ServingRecord, PromotionError>,
    candidate: Candidate,
    stored: &StoredManifest,
) -> Result<Vec<Route>, AppendError> {
    let refuse = |field, reason| Err(PromotionError::Candidate { field, reason }.into());
    let share = match (candidate.role, candidate.share) {
        (Role::Primary, None) => return Ok(vec![stored.route(Role::Primary, 1.0)]),
        (Role::Shadow, None) => 0.0,
        (Role::Canary, Some(share)) if share > 0.0 && share < 1.0 => share,
        (Role::Canary, _) => return refuse("share", "a canary needs a share between 0 and 1"),
        (Role::Primary | Role::Shadow, Some(_)) => {
            return refuse("share", "only a canary takes a share");
        }
    };
    let head = head?;
    let primary = head.primary_route().ok_or(PromotionError::HeadUnknown)?;
    if primary.checkpoint == candidate.checkpoint {
        return refuse("checkpoint_id", "this checkpoint is the primary already");
    }
    let serving = still_servable(storage, model, primary).await?;
    let (current, new) = (&serving.manifest, &stored.manifest);
    if current.input != new.input || current.labels != new.labels {
        return refuse(
            "checkpoint_id",
            "its inputs or labels differ from those of the primary",
        );
    }
    let kept = |route: &&Route| {
        route.checkpoint != candidate.checkpoint
            && route.role != candidate.role
            && route.role != Role::Primary
    };
    let mut routes: Vec<Route> = head.routes.iter().filter(kept).cloned().collect();
    routes.push(stored.route(candidate.role, share));
    let taken: f64 = routes.iter().map(|route| route.share).sum();
    routes.insert(0, serving.route(Role::Primary, 1.0 - taken));
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
            Ok(_) => {}
            Err(error) if error.is_unreadable() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(PromotionError::NothingEarlier.into())
}
