//! Crash-safe publication of a checkpoint: plan, commit, promote.
//!
//! A writer records the checkpoint's id and promotion rules in its [`IntentLog`] before it writes
//! the first byte to the storage, and the progress after each step. At its next start it calls
//! [`recover`] for every checkpoint that the log does not show as completed or abandoned. Every
//! step is idempotent. How the log is stored, and when to retry, is up to the writer.

use crate::{
    catalog,
    id::CheckpointId,
    keys,
    manifest::Manifest,
    publish::{Draft, publish},
    serving::{Decision, NotPromoted, PromotionRules, promote_published},
    storage::{Storage, StorageError},
};

/// A writer's durable record of each checkpoint's progress. A call returns when its write is
/// durable.
pub trait IntentLog: Sync {
    /// Error of a write.
    type Error: From<StorageError>;

    /// Records that the checkpoint's manifest is on the storage.
    fn committed(&self, id: CheckpointId) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Records how the promotion of the checkpoint was decided, and that it was carried out.
    fn completed(
        &self,
        id: CheckpointId,
        decision: &Decision,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Records that the checkpoint will not be published, or was deleted.
    fn abandoned(&self, id: CheckpointId) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Outcome of a publication.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Published, and promoted or not.
    Completed(Decision),
    /// Not published, or deleted since.
    Abandoned,
}

/// Publishes a planned checkpoint and records that it is committed, or abandoned after a
/// [final](StorageError::is_final) failure.
///
/// Not cancel-safe. Idempotent: after any other failure, call it again.
///
/// # Errors
/// As [`publish`], and the log's.
pub async fn commit<L: IntentLog>(
    storage: &Storage,
    log: &L,
    draft: Draft,
) -> Result<Manifest, L::Error> {
    let id = draft.manifest.id;
    match publish(storage, draft).await {
        Ok(manifest) => {
            log.committed(id).await?;
            Ok(manifest)
        }
        Err(error) => {
            if error.is_final() {
                log.abandoned(id).await?;
            }
            Err(error.into())
        }
    }
}

/// Applies the promotion rules to a committed checkpoint and records the outcome.
///
/// If only a newer program understands the newest serving record, the checkpoint is not promoted.
/// If retention deleted it meanwhile, it is abandoned. Not cancel-safe; idempotent.
///
/// # Errors
/// As [`promote_published`] otherwise, and the log's.
pub async fn finalize<L: IntentLog>(
    storage: &Storage,
    log: &L,
    manifest: &Manifest,
    rules: PromotionRules,
    by: &str,
) -> Result<Outcome, L::Error> {
    let id = manifest.id;
    let decision = match promote_published(storage, manifest, rules, by).await {
        Ok(decision) => decision,
        Err(error) if error.is_unreadable() => {
            tracing::warn!(
                checkpoint = %id, %error,
                "published but not promoted: the serving log or the manifest cannot be read or is not trusted"
            );
            let explanation = match error {
                StorageError::Untrusted { key, .. } if key == keys::file(id, keys::MANIFEST) => {
                    "its manifest is not signed by a trusted key: `digits promote --allow-unsigned` serves it"
                }
                StorageError::Untrusted { .. } => {
                    "no serving record of the model is signed by a trusted key: `digits sign` signs the newest"
                }
                _ => "this version of the trainer cannot read the newest serving record",
            };
            let objection = (NotPromoted::Unreadable, explanation.to_owned());
            Decision::not_promoted(manifest, objection, None)
        }
        Err(error @ StorageError::Tombstoned { .. }) => {
            tracing::warn!(checkpoint = %id, %error, "not promoted: retention marked the checkpoint for deletion");
            log.abandoned(id).await?;
            return Ok(Outcome::Abandoned);
        }
        Err(error) => return Err(error.into()),
    };
    log.completed(id, &decision).await?;
    Ok(Outcome::Completed(decision))
}

/// Resolves a publication that an earlier process left unfinished: a committed checkpoint is
/// [finalized](finalize), any other is abandoned, because its weights were lost with the process.
///
/// # Errors
/// The storage's and the log's; then nothing is decided, and the next start tries again.
pub async fn recover<L: IntentLog>(
    storage: &Storage,
    log: &L,
    id: CheckpointId,
    rules: PromotionRules,
    by: &str,
) -> Result<Outcome, L::Error> {
    match catalog::manifest(storage, id).await {
        Ok(Some(manifest)) => {
            log.committed(id).await?;
            finalize(storage, log, &manifest, rules, by).await
        }
        // An unreadable manifest is not one that this program wrote, and must not keep it from
        // starting.
        Err(error) if !error.is_unreadable() => Err(error.into()),
        Ok(None) | Err(_) => {
            log.abandoned(id).await?;
            Ok(Outcome::Abandoned)
        }
    }
}
