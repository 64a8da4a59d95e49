//! The writer's side: a checkpoint appears whole, or not at all.
//!
//! Model and exam are created first, the manifest last. Whatever stops it in between leaves files that no
//! reader looks at; publishing the same id again finishes it. Does not decide what is served
//! (see [`crate::serving`]).

use crate::{
    catalog,
    id::CheckpointId,
    keys,
    load::verify,
    manifest::{FileDigest, Manifest},
    sha256_hex,
    storage::{Created, Storage, StorageError},
};
use bytes::Bytes;

/// A checkpoint to be published.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it says about itself; the digests of `files` are filled in by [`publish`].
    pub manifest: Manifest,
    /// Of [`encode_model`](crate::encode_model).
    pub model: Bytes,
    /// Of [`encode_exam`](crate::encode_exam).
    pub exam: Bytes,
}

/// Publishes a checkpoint, and returns its manifest as it is committed.
///
/// Idempotent for one id: after a crash, a failure or a dropped future the same draft again finishes what
/// was begun, and returns the committed manifest when all was done already. Two publishers of one id may race
/// when their bytes are equal.
///
/// # Errors
/// [`StorageError::Draft`] when readers would refuse it (nothing is written then);
/// [`StorageError::Conflict`] when the id holds other weights, another exam, or a manifest that serves them
/// otherwise: abandon the id; [`StorageError::Tombstoned`]; else what the store said: try again.
pub async fn publish(storage: &Storage, draft: Draft) -> Result<Manifest, StorageError> {
    let id = draft.manifest.id;
    let Draft {
        manifest,
        model,
        exam,
    } = tokio::task::spawn_blocking(move || checked(draft)).await??;

    for (name, bytes) in [(keys::MODEL, model), (keys::EXAM, exam)] {
        let key = keys::file(id, name);
        if storage.create(&key, bytes).await? == Created::Theirs {
            return Err(StorageError::Conflict { key });
        }
    }
    // Before and after the commit: retention may have given these files up as left behind, and then either
    // it sees the manifest in time or its tombstone is seen here.
    refuse_tombstoned(storage, id).await?;
    let committed = commit(storage, manifest).await?;
    refuse_tombstoned(storage, id).await?;
    Ok(committed)
}

async fn commit(storage: &Storage, manifest: Manifest) -> Result<Manifest, StorageError> {
    let id = manifest.id;
    let key = keys::file(id, keys::MANIFEST);
    match storage.create(&key, encode(&manifest).into()).await? {
        Created::Ours => Ok(manifest),
        Created::Theirs => match catalog::manifest(storage, id).await? {
            Some(committed) if serves_alike(&committed, &manifest) => Ok(committed),
            Some(_) => Err(StorageError::Conflict { key }),
            // Deleted this instant.
            None => Err(StorageError::Tombstoned { id }),
        },
    }
}

/// The bytes of `manifest.json`.
fn encode(manifest: &Manifest) -> Vec<u8> {
    serde_json::to_vec_pretty(manifest).expect("a manifest is plain data")
}

async fn refuse_tombstoned(storage: &Storage, id: CheckpointId) -> Result<(), StorageError> {
    if storage.exists(&keys::file(id, keys::TOMBSTONE)).await? {
        return Err(StorageError::Tombstoned { id });
    }
    Ok(())
}

/// Fills in the digests, and holds the draft against what every reader will check.
fn checked(mut draft: Draft) -> Result<Draft, StorageError> {
    let digest = |bytes: &Bytes| FileDigest {
        sha256: sha256_hex(bytes),
        size_bytes: bytes.len() as u64,
    };
    draft.manifest.files.model = digest(&draft.model);
    draft.manifest.files.exam = digest(&draft.exam);
    // Read back as every reader will read it: a figure that is no number is written as `null`.
    let text = encode(&draft.manifest);
    Manifest::parse(&text, draft.manifest.id)
        .and_then(|_| draft.manifest.validate())
        .and_then(|()| verify(draft.manifest.clone(), &draft.model, &draft.exam))
        .map_err(|refusal| StorageError::Draft {
            id: draft.manifest.id,
            refusal,
        })?;
    Ok(draft)
}

/// Whether two manifests of one id make the same answers. The rest (when, by which version, what was
/// measured) may differ between a crash and the restart; the first one stands.
fn serves_alike(left: &Manifest, right: &Manifest) -> bool {
    left.files == right.files
        && left.model == right.model
        && left.architecture == right.architecture
        && left.input == right.input
        && left.labels == right.labels
        && left.picture_normalization == right.picture_normalization
        && left.temperature == right.temperature
        && left.lineage.job == right.lineage.job
}
