//! Publishes checkpoints atomically.
//!
//! Model and exam are created first, the manifest last. An interruption leaves files that no reader
//! uses; publishing the same id again completes them. Promotion is separate (see
//! [`crate::serving`]).

use crate::{
    catalog,
    id::CheckpointId,
    keys,
    load::verify,
    manifest::{FileDigest, Manifest},
    refusal::Refusal,
    serving, sha256_hex,
    signature::Kind,
    storage::{Created, Storage, StorageError},
    tensors::{Served, decode_exam, encode_served_exam, probabilities},
};
use bytes::Bytes;

/// A checkpoint to be published.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its manifest; [`publish`] fills in the digests of `files`, and `after_sequence`.
    pub manifest: Manifest,
    /// Bytes from [`encode_model`](crate::encode_model).
    pub model: Bytes,
    /// Bytes from [`encode_exam`](crate::encode_exam); [`publish`] adds the probabilities and labels
    /// that users will get.
    pub exam: Bytes,
}

/// Publishes a checkpoint, and returns its committed manifest.
///
/// Idempotent for one id: after a crash, a failure or a dropped future a call with the same draft
/// completes the publication, and returns the committed manifest if it was complete. Two publishers
/// of one id may race if their bytes are equal.
///
/// # Errors
/// [`StorageError::Draft`] when readers would refuse it (nothing is written then);
/// [`StorageError::Conflict`] when the id has other weights, another exam or a manifest with other
/// answers: abandon the id; [`StorageError::Tombstoned`]; else the store's error: retry.
pub async fn publish(storage: &Storage, mut draft: Draft) -> Result<Manifest, StorageError> {
    if draft.manifest.after_sequence.is_none() {
        let newest = serving::newest_after(storage, &draft.manifest.model, 0).await?;
        draft.manifest.after_sequence = Some(newest.unwrap_or(0));
    }
    let id = draft.manifest.id;
    let Draft {
        manifest,
        model,
        exam,
    } = tokio::task::spawn_blocking(move || validated(draft)).await??;

    for (name, bytes) in [(keys::MODEL, model), (keys::EXAM, exam)] {
        let key = keys::file(id, name);
        if storage.create(&key, bytes).await? == Created::Theirs {
            return Err(StorageError::Conflict { key });
        }
    }
    // Before and after the commit: retention may take these files for abandoned. Then either it
    // sees the manifest in time, or its tombstone is seen here.
    ensure_not_tombstoned(storage, id).await?;
    let committed = commit(storage, manifest).await?;
    ensure_not_tombstoned(storage, id).await?;
    Ok(committed)
}

async fn commit(storage: &Storage, manifest: Manifest) -> Result<Manifest, StorageError> {
    let id = manifest.id;
    let key = keys::file(id, keys::MANIFEST);
    let text = storage.signed(Kind::Manifest, encode(&manifest));
    match storage.create(&key, text).await? {
        Created::Ours => Ok(manifest),
        Created::Theirs => match catalog::manifest(storage, id).await? {
            Some(committed) if same_answers(&committed, &manifest) => Ok(committed),
            Some(_) => Err(StorageError::Conflict { key }),
            // Deleted just now.
            None => Err(StorageError::Tombstoned { id }),
        },
    }
}

/// The bytes of `manifest.json`.
fn encode(manifest: &Manifest) -> Vec<u8> {
    serde_json::to_vec_pretty(manifest).expect("a manifest is plain data")
}

async fn ensure_not_tombstoned(storage: &Storage, id: CheckpointId) -> Result<(), StorageError> {
    if storage.exists(&keys::file(id, keys::TOMBSTONE)).await? {
        return Err(StorageError::Tombstoned { id });
    }
    Ok(())
}

/// Fills in the digests, and checks the draft as every reader will.
fn validated(mut draft: Draft) -> Result<Draft, StorageError> {
    let digest = |bytes: &Bytes| FileDigest {
        sha256: sha256_hex(bytes),
        size_bytes: bytes.len() as u64,
    };
    draft.manifest.files.model = digest(&draft.model);
    draft.manifest.files.exam = digest(&draft.exam);
    let id = draft.manifest.id;
    let refused = |refusal| StorageError::Draft { id, refusal };
    // Parsed as every reader will parse it: JSON has only `null` for NaN and infinity.
    Manifest::parse(&encode(&draft.manifest), id)
        .and_then(|_| draft.manifest.validate())
        .map_err(refused)?;
    draft.exam = with_answers(&draft).map_err(refused)?;
    draft.manifest.files.exam = digest(&draft.exam);
    verify(&draft.manifest, &draft.model, &draft.exam).map_err(refused)?;
    Ok(draft)
}

/// The exam of a draft with the answers that users will get.
fn with_answers(draft: &Draft) -> Result<Bytes, Refusal> {
    let manifest = &draft.manifest;
    let architecture = &manifest.architecture;
    let exam = decode_exam(&draft.exam, architecture)?.exam;
    let probabilities = probabilities(&exam.logits, architecture.classes, manifest.temperature);
    let served = Served {
        probabilities: &probabilities,
        labels: &manifest.labels,
    };
    Ok(encode_served_exam(&exam, architecture, &served))
}

/// Whether two manifests of one id give the same answers. Time, version and measurements may differ
/// between a crash and the restart; the first manifest stays.
fn same_answers(left: &Manifest, right: &Manifest) -> bool {
    left.files == right.files
        && left.model == right.model
        && left.architecture == right.architecture
        && left.input == right.input
        && left.labels == right.labels
        && left.picture_normalization == right.picture_normalization
        && left.temperature == right.temperature
        && left.lineage.job == right.lineage.job
}
