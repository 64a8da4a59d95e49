//! Automatic promotion of published checkpoints.

use super::{
    error::{AppendError, PromotionError},
    guard::{append_servable, revert_if_deleted, servable},
    log::{Proposal, head, record},
    routes::only,
};
use crate::{
    catalog,
    id::CheckpointId,
    keys,
    manifest::Manifest,
    record::{Reason, ServingRecord},
    storage::{Storage, StorageError},
};
use futures::{StreamExt as _, stream};
use jiff::SignedDuration;

/// Attempts of a promotion that another writer keeps preceding.
const ATTEMPTS: u32 = 32;
/// Records that are searched for an earlier promotion of the same checkpoint.
const SEARCHED: u64 = 1000;
/// Tolerated difference between two clocks: that promotion is no older than the checkpoint.
const CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_mins(10);
/// Records that are read at once.
const CONCURRENT_READS: usize = 16;

/// Whether a published checkpoint is promoted automatically.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Promote the newest published checkpoint.
    #[default]
    Latest,
    /// Promote a published checkpoint when its validation is better than that of the serving
    /// checkpoint (more correct, or as many at a lower loss), and both have the same data set,
    /// split and labels.
    IfBetter,
    /// Promotion by operators only.
    Manual,
}

impl Policy {
    /// Whether `new` is to serve instead of `current`.
    #[must_use]
    pub fn prefers(self, new: &Manifest, current: &Manifest) -> bool {
        match self {
            Self::Manual => false,
            Self::Latest => new.created_at >= current.created_at,
            Self::IfBetter => comparable(new, current) && better(new, current),
        }
    }
}

fn comparable(new: &Manifest, current: &Manifest) -> bool {
    let (left, right) = (&new.lineage, &current.lineage);
    !left.dataset_digest.is_empty()
        && !left.split_digest.is_empty()
        && left.dataset_digest == right.dataset_digest
        && left.split_digest == right.split_digest
        && new.labels == current.labels
}

fn better(new: &Manifest, current: &Manifest) -> bool {
    let (Some(new), Some(current)) = (&new.metrics.validation, &current.metrics.validation) else {
        return false;
    };
    new.images == current.images
        && (new.correct > current.correct
            || new.correct == current.correct && new.loss < current.loss)
}

/// Promotes a published checkpoint where `policy` and holds allow it. Returns the record that
/// promoted it, `None` when it is not to serve.
///
/// Idempotent: the same call after a crash, a failure or a dropped future never promotes a second
/// time. An earlier promotion is searched for in the last 1,000 records; once found it is returned,
/// even if another checkpoint serves by now.
///
/// # Errors
/// [`StorageError::Tombstoned`] when retention deleted the checkpoint; [`StorageError::Unreadable`]
/// when the newest record has an unknown format (a newer program decides then);
/// [`StorageError::Contended`]; else the store's error.
pub async fn promote_published(
    storage: &Storage,
    manifest: &Manifest,
    policy: Policy,
    by: &str,
) -> Result<Option<ServingRecord>, StorageError> {
    if policy == Policy::Manual {
        return Ok(None);
    }
    for _ in 0..ATTEMPTS {
        match decide(storage, manifest, policy, by).await {
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
    policy: Policy,
    by: &str,
) -> Result<Option<ServingRecord>, AppendError> {
    let model = &manifest.model;
    let head = head(storage, model).await?;
    if let Some(head) = &head {
        if let Some(earlier) = earlier_promotion(storage, manifest, head).await? {
            if earlier == *head {
                // A crash may have come between writing the record and its check.
                revert_if_deleted(storage, model, head).await?;
            }
            return Ok(Some(earlier));
        }
        if head.hold || !replaces(storage, manifest, policy, head).await? {
            return Ok(None);
        }
    }
    servable(storage, model, manifest.id).await?;
    let proposal = Proposal {
        routes: only(manifest.id),
        hold: false,
        reason: Reason::Published,
        by: by.to_owned(),
    };
    let expected = head.as_ref().map_or(0, |head| head.sequence);
    append_servable(storage, model, expected, proposal)
        .await
        .map(Some)
}

/// Whether the checkpoint is to serve instead of the head's primary.
async fn replaces(
    storage: &Storage,
    new: &Manifest,
    policy: Policy,
    head: &ServingRecord,
) -> Result<bool, StorageError> {
    let Some(primary) = head.primary() else {
        return Ok(true);
    };
    if primary == new.id {
        return Ok(false);
    }
    match catalog::manifest(storage, primary).await {
        Ok(Some(current)) => Ok(policy.prefers(new, &current)),
        // A primary that is gone or unreadable is worse than any.
        Ok(None) => Ok(true),
        Err(error) if error.is_unreadable() => Ok(true),
        Err(error) => Err(error),
    }
}

async fn earlier_promotion(
    storage: &Storage,
    manifest: &Manifest,
    head: &ServingRecord,
) -> Result<Option<ServingRecord>, StorageError> {
    let oldest = head.sequence.saturating_sub(SEARCHED - 1).max(1);
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
        if manifest.created_at.duration_since(record.at) > CLOCK_DIFFERENCE {
            break;
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
        other => StorageError::Unreadable {
            key: keys::file(id, keys::MANIFEST),
            reason: other.to_string(),
        },
    }
}
