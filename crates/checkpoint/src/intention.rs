//! A checkpoint from its plan to its end, whatever breaks in between.
//!
//! A writer puts the id and what is to happen with it into its [`Ledger`] before the first byte goes to the
//! storage, and how far it is after each step; a start carries on with [`take_up`] what the ledger does not show as
//! ended. Every step may be taken again. What a ledger is made of, and when to try again, is the writer's business.

use crate::{
    catalog,
    id::CheckpointId,
    manifest::Manifest,
    publish::{Draft, publish},
    serving::{Policy, promote_published},
    storage::{Storage, StorageError},
};

/// Where a writer keeps how far its checkpoints are. What a call wrote is durable when it returns.
pub trait Ledger: Sync {
    /// How it fails.
    type Error: From<StorageError>;

    /// The manifest of the checkpoint is on the storage.
    fn committed(&self, id: CheckpointId) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The policy has been carried out; `sequence` is the record that promoted the checkpoint, 0 for none.
    fn done(
        &self,
        id: CheckpointId,
        sequence: u64,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The checkpoint will not be published, or is not there any more.
    fn abandoned(&self, id: CheckpointId) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// How an intention ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is published, and its policy carried out by this serving record; 0 for none.
    Done(u64),
    /// It is not there, and will not be.
    Abandoned,
}

/// Publishes a planned checkpoint and notes that it is committed, or that it never will be.
///
/// Not cancel-safe, and idempotent: after any failure that is not [final](StorageError::is_final) the same call again
/// goes on.
///
/// # Errors
/// As [`publish`], and the ledger's.
pub async fn commit<L: Ledger>(
    storage: &Storage,
    ledger: &L,
    draft: Draft,
) -> Result<Manifest, L::Error> {
    let id = draft.manifest.id;
    match publish(storage, draft).await {
        Ok(manifest) => {
            ledger.committed(id).await?;
            Ok(manifest)
        }
        Err(error) => {
            if error.is_final() {
                ledger.abandoned(id).await?;
            }
            Err(error.into())
        }
    }
}

/// Carries out the policy of a committed checkpoint and notes the end.
///
/// Where the newest record is of a form that only a newer program knows, the policy stands back: done, with no
/// record. A checkpoint that retention took away meanwhile is abandoned. Not cancel-safe, and idempotent.
///
/// # Errors
/// As [`promote_published`] for the rest, and the ledger's.
pub async fn settle<L: Ledger>(
    storage: &Storage,
    ledger: &L,
    manifest: &Manifest,
    policy: Policy,
    by: &str,
) -> Result<Ended, L::Error> {
    let id = manifest.id;
    let sequence = match promote_published(storage, manifest, policy, by).await {
        Ok(record) => record.map_or(0, |record| record.sequence),
        Err(error @ (StorageError::Unreadable { .. } | StorageError::TooLarge { .. })) => {
            tracing::warn!(checkpoint = %id, %error, "not promoted: the serving log is a newer program's");
            0
        }
        Err(error @ StorageError::Tombstoned { .. }) => {
            tracing::warn!(checkpoint = %id, %error, "not promoted");
            ledger.abandoned(id).await?;
            return Ok(Ended::Abandoned);
        }
        Err(error) => return Err(error.into()),
    };
    ledger.done(id, sequence).await?;
    Ok(Ended::Done(sequence))
}

/// Ends what an earlier process planned and did not end: what it committed is [settled](settle), the rest abandoned,
/// because the weights died with the process.
///
/// # Errors
/// What storage and ledger say; then nothing is decided, and the next start tries again.
pub async fn take_up<L: Ledger>(
    storage: &Storage,
    ledger: &L,
    id: CheckpointId,
    policy: Policy,
    by: &str,
) -> Result<Ended, L::Error> {
    match catalog::manifest(storage, id).await {
        Ok(Some(manifest)) => {
            ledger.committed(id).await?;
            settle(storage, ledger, &manifest, policy, by).await
        }
        // Not one that this program wrote: it cannot tell what to do with it, and must not be kept from starting.
        Ok(None) | Err(StorageError::Unreadable { .. } | StorageError::TooLarge { .. }) => {
            ledger.abandoned(id).await?;
            Ok(Ended::Abandoned)
        }
        Err(error) => Err(error.into()),
    }
}
