//! Reads manifests of committed checkpoints, without their weights.

use crate::{
    id::CheckpointId,
    keys,
    manifest::Manifest,
    record::{Role, Route},
    sha256_hex,
    signature::{Kind, Untrusted},
    storage::{Storage, StorageError, TEXT_LIMIT},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// Manifests that are read concurrently.
const CONCURRENT_READS: usize = 16;

/// A manifest as it is on the storage.
pub(crate) struct StoredManifest {
    pub(crate) manifest: Manifest,
    /// SHA-256 of its bytes, in lower-case hexadecimal.
    pub(crate) sha256: String,
    /// Whether it is signed as the storage requires.
    pub(crate) signature: Result<(), Untrusted>,
}

impl StoredManifest {
    /// A route to the checkpoint of this manifest, and of no other under the same id.
    pub(crate) fn route(&self, role: Role, share: f64) -> Route {
        Route {
            checkpoint: self.manifest.id,
            role,
            share,
            manifest_sha256: Some(self.sha256.clone()),
        }
    }
}

/// The manifest of a committed checkpoint; `None` when there is none. Cancel-safe.
///
/// # Errors
/// [`StorageError::Unreadable`] or [`StorageError::TooLarge`] when the key holds no valid manifest;
/// else the store's error.
pub async fn manifest(
    storage: &Storage,
    id: CheckpointId,
) -> Result<Option<Manifest>, StorageError> {
    let found = stored_manifest(storage, id).await?;
    Ok(found.map(|stored| stored.manifest))
}

/// As [`manifest()`], with its digest.
pub(crate) async fn stored_manifest(
    storage: &Storage,
    id: CheckpointId,
) -> Result<Option<StoredManifest>, StorageError> {
    let key = keys::file(id, keys::MANIFEST);
    let Some(bytes) = storage.get(&key, TEXT_LIMIT).await? else {
        return Ok(None);
    };
    match Manifest::parse(&bytes, id) {
        Ok(manifest) => Ok(Some(StoredManifest {
            manifest,
            sha256: sha256_hex(&bytes),
            signature: storage
                .keys()
                .map_or(Ok(()), |keys| keys.verify(Kind::Manifest, &bytes)),
        })),
        Err(refusal) => Err(StorageError::Unreadable {
            key,
            reason: refusal.message,
        }),
    }
}

/// The manifest of a committed checkpoint without a tombstone, for a caller that will need the
/// checkpoint later; `None` when there is none. Cancel-safe.
///
/// Retention checks again between tombstone and deletion which checkpoints are needed. A caller
/// that has recorded its need before the grace time is over keeps the checkpoint.
///
/// # Errors
/// [`StorageError::Tombstoned`]; else as [`manifest()`].
pub async fn live_manifest(
    storage: &Storage,
    id: CheckpointId,
) -> Result<Option<Manifest>, StorageError> {
    // In this order: retention deletes the tombstone last.
    let tombstoned = storage.exists(&keys::file(id, keys::TOMBSTONE)).await?;
    let found = manifest(storage, id).await?;
    if found.is_some() && tombstoned {
        return Err(StorageError::Tombstoned { id });
    }
    Ok(found)
}

/// The manifests of all committed checkpoints, newest `created_at` first; unreadable ones are left
/// out with a warning. Cancel-safe.
///
/// # Errors
/// The store's error.
pub async fn list_checkpoints(storage: &Storage) -> Result<Vec<Manifest>, StorageError> {
    let entries = storage.list(keys::CHECKPOINTS, None).await?;
    let ids = entries
        .iter()
        .filter_map(|entry| keys::parse_file(&entry.key))
        .filter_map(|(id, name)| (name == keys::MANIFEST).then_some(id))
        .collect::<Vec<_>>();
    let mut manifests: Vec<Manifest> = stream::iter(ids)
        .map(|id| readable(storage, id))
        .buffer_unordered(CONCURRENT_READS)
        .try_filter_map(|found| async { Ok(found) })
        .try_collect()
        .await?;
    manifests.sort_by_key(|manifest| (std::cmp::Reverse(manifest.created_at), manifest.id));
    Ok(manifests)
}

async fn readable(storage: &Storage, id: CheckpointId) -> Result<Option<Manifest>, StorageError> {
    match manifest(storage, id).await {
        Err(error) if error.is_unreadable() => {
            tracing::warn!(checkpoint = %id, %error, "unreadable manifest: checkpoint left out of the list");
            Ok(None)
        }
        other => other,
    }
}
