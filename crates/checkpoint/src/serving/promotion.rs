//! Promotes published checkpoints automatically, at most once each.

use super::{
    decision::{Decision, NotPromoted, PreviousPrimary, accuracy, recorded},
    error::{AppendError, PromotionError},
    guard::{append_servable, revert_if_deleted, servable},
    log::{Proposal, record, trusted_head},
    policy::{Policy, PromotionRules, manual},
};
use crate::{
    catalog,
    id::CheckpointId,
    keys,
    manifest::Manifest,
    record::{Reason, Role, ServingRecord},
    storage::{Storage, StorageError},
};
use futures::{StreamExt as _, stream};

/// Attempts of a promotion that another writer keeps preceding.
const ATTEMPTS: u32 = 32;
/// Records that are searched for an earlier promotion of the same checkpoint.
const SEARCHED: u64 = 1000;
/// Records that are read at once.
const CONCURRENT_READS: usize = 16;

/// Promotes a published checkpoint where `rules` and holds allow it.
///
/// Idempotent: the same call after a crash, a failure or a dropped future never promotes a second
/// time. An earlier promotion is searched for in the last 1,000 records; once found it is returned,
/// with what it replaced, even if another checkpoint serves by now. A checkpoint that was not
/// promoted leaves no trace on the storage, so the same call compares it with what serves then.
///
/// # Errors
/// [`StorageError::Tombstoned`] when retention deleted the checkpoint; [`StorageError::Unreadable`]
/// when the newest record has an unknown format (a newer program decides then);
/// [`StorageError::Untrusted`] when no record, or not the checkpoint, is signed as the storage
/// requires;
/// [`StorageError::Contended`]; else the store's error.
pub async fn promote_published(
    storage: &Storage,
    manifest: &Manifest,
    rules: PromotionRules,
    by: &str,
) -> Result<Decision, StorageError> {
    if rules.policy == Policy::Manual {
        return Ok(Decision::not_promoted(manifest, manual(), None));
    }
    for _ in 0..ATTEMPTS {
        match decide(storage, manifest, rules, by).await {
            Ok(decided) => return Ok(decided),
            Err(AppendError::Lost { .. }) => {}
            Err(AppendError::Storage(error)) => return Err(error),
            Err(AppendError::Refused(error)) => return Err(storage_error(manifest.id, error)),
        }
    }
    Err(StorageError::Contended {
        key: keys::log(&manifest.model),
        attempts: ATTEMPTS,
    })
}

async fn decide(
    storage: &Storage,
    manifest: &Manifest,
    rules: PromotionRules,
    by: &str,
) -> Result<Decision, AppendError> {
    let model = &manifest.model;
    let head = trusted_head(storage, model).await?;
    let mut before = None;
    if let Some((_, head)) = &head {
        if let Some(earlier) = earlier_promotion(storage, manifest, head).await? {
            if earlier == *head {
                // A crash may have come between writing the record and its check.
                revert_if_deleted(storage, model, head).await?;
            }
            let before = replaced_by(storage, &earlier, manifest).await?;
            return Ok(Decision::promoted(manifest, earlier.sequence, before));
        }
        let current = primary(storage, head).await?;
        before = previous(head, current.as_ref());
        if let Some(objection) = objection(manifest, rules, head, current.as_ref()) {
            return Ok(Decision::not_promoted(manifest, objection, before));
        }
    }
    let stored = servable(storage, model, manifest.id).await?;
    let proposal = Proposal {
        routes: vec![stored.route(Role::Primary, 1.0)],
        hold: false,
        reason: Reason::Published,
        by: by.to_owned(),
        note: None,
    };
    let expected = head.map_or(0, |(newest, _)| newest);
    let record = append_servable(storage, model, expected, proposal).await?;
    Ok(Decision::promoted(manifest, record.sequence, before))
}

/// Why the checkpoint is not to serve instead of the head's primary, whose manifest is `current`.
fn objection(
    new: &Manifest,
    rules: PromotionRules,
    head: &ServingRecord,
    current: Option<&Manifest>,
) -> Option<(NotPromoted, String)> {
    if head.hold {
        let (model, sequence) = (&new.model, head.sequence);
        let explanation =
            format!("the serving record {sequence} of the model {model} holds automatic promotion");
        return Some((NotPromoted::Hold, explanation));
    }
    if head.primary() == Some(new.id) {
        return Some((NotPromoted::Serving, "it serves already".to_owned()));
    }
    // A primary that cannot be served is worse than any.
    current.and_then(|current| rules.objection(new, current, head.sequence))
}

/// The manifest of a record's primary; `None` when it is gone, unreadable or not what was promoted.
async fn primary(
    storage: &Storage,
    record: &ServingRecord,
) -> Result<Option<Manifest>, StorageError> {
    let Some(route) = record.primary_route() else {
        return Ok(None);
    };
    let found = match catalog::stored_manifest(storage, route.checkpoint).await {
        Err(error) if error.is_unreadable() => None,
        found => found?,
    };
    let promised = route.manifest_sha256.as_ref();
    let found = found.filter(|found| promised.is_none_or(|sha256| *sha256 == found.sha256));
    Ok(found.map(|found| found.manifest))
}

/// The primary of `record`, whose manifest is `manifest`.
fn previous(record: &ServingRecord, manifest: Option<&Manifest>) -> Option<PreviousPrimary> {
    let lineage = manifest.map(|manifest| &manifest.lineage);
    Some(PreviousPrimary {
        sequence: record.sequence,
        checkpoint: record.primary()?,
        accuracy: manifest.and_then(accuracy),
        dataset: lineage.map_or_else(String::new, |lineage| recorded(&lineage.dataset)),
        job: lineage
            .and_then(|lineage| lineage.job.as_deref())
            .map_or_else(String::new, recorded),
    })
}

/// The primary before `record`, which promoted the checkpoint: the log has no gaps.
async fn replaced_by(
    storage: &Storage,
    promotion: &ServingRecord,
    manifest: &Manifest,
) -> Result<Option<PreviousPrimary>, StorageError> {
    let before = promotion.sequence - 1;
    if before == 0 {
        return Ok(None);
    }
    match record(storage, &manifest.model, before).await {
        Ok(Some(before)) => {
            let current = primary(storage, &before).await?;
            Ok(previous(&before, current.as_ref()))
        }
        Ok(None) => Ok(None),
        Err(error) if error.is_unreadable() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn earlier_promotion(
    storage: &Storage,
    manifest: &Manifest,
    head: &ServingRecord,
) -> Result<Option<ServingRecord>, StorageError> {
    // No record that is older than the checkpoint promotes it.
    let published_after = manifest.after_sequence.unwrap_or(0);
    let oldest = head.sequence.saturating_sub(SEARCHED - 1);
    let oldest = oldest.max(published_after.saturating_add(1));
    let mut records = stream::iter((oldest..=head.sequence).rev())
        .map(|sequence| record(storage, &manifest.model, sequence))
        .buffered(CONCURRENT_READS);
    while let Some(found) = records.next().await {
        let record = match found {
            Ok(Some(record)) => record,
            // Not a record of this program's versions.
            Ok(None) => continue,
            Err(error) if error.is_unreadable() => continue,
            Err(error) => return Err(error),
        };
        if record.reason == Reason::Published && record.primary() == Some(manifest.id) {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

fn storage_error(id: CheckpointId, error: PromotionError) -> StorageError {
    match error {
        // It was committed, so retention deleted it.
        PromotionError::Tombstoned(id) | PromotionError::UnknownCheckpoint(id) => {
            StorageError::Tombstoned { id }
        }
        PromotionError::Untrusted { id, reason } => StorageError::Untrusted {
            key: keys::file(id, keys::MANIFEST),
            source: reason,
        },
        other => StorageError::Unreadable {
            key: keys::file(id, keys::MANIFEST),
            reason: other.to_string(),
        },
    }
}
