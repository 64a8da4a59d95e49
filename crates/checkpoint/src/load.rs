//! Loads checkpoints, complete and verified.
//!
//! Does not run the exam: only the engine that will serve the weights can (see
//! [`crate::check_exam`]).

use crate::{
    id::CheckpointId,
    keys,
    manifest::{FileDigest, Manifest},
    refusal::{Refusal, RefusalReason},
    sha256_hex,
    storage::{Storage, StorageError, TEXT_LIMIT},
    tensors::{Answers, Exam, Layer, decode_exam, decode_model},
};
use bytes::Bytes;

/// A verified checkpoint.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its manifest.
    pub manifest: Manifest,
    /// The weights, from the input on.
    pub layers: Vec<Layer>,
    /// SHA-256 of the bytes of the manifest.
    pub manifest_sha256: String,
    /// The exam that an engine must pass before it serves the weights.
    pub exam: Exam,
    /// The probabilities that users get for the images of the exam, [images, classes]; `None` in
    /// checkpoints that are older than this field.
    pub probabilities: Option<Vec<f32>>,
}

/// Errors of loading a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or cannot be read; a later attempt may succeed.
    #[error(transparent)]
    Unavailable(#[from] StorageError),
    /// It must not be served; a retry does not help.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A checkpoint as read, whose files are not verified yet.
pub struct Unverified {
    manifest: Manifest,
    manifest_sha256: String,
    model: Bytes,
    exam: Bytes,
}

impl Unverified {
    /// Verifies everything but the exam's answers: digests, header limits, shapes against the
    /// architecture, finite weights. Computes for longer than a thread of a runtime may be blocked.
    ///
    /// # Errors
    /// When the checkpoint must not be served.
    pub fn verify(self) -> Result<Loaded, Refusal> {
        let verified = verify(&self.manifest, &self.model, &self.exam)?;
        Ok(Loaded {
            manifest: self.manifest,
            manifest_sha256: self.manifest_sha256,
            layers: verified.layers,
            exam: verified.answers.exam,
            probabilities: verified.answers.probabilities,
        })
    }
}

/// Reads a checkpoint for [`Unverified::verify`]; checks its manifest and the sizes of its files.
/// `promised` is the manifest's SHA-256 in the serving record that names the checkpoint, if it has
/// one.
///
/// Cancel-safe: it only reads.
///
/// # Errors
/// [`LoadError::Unavailable`] for missing files and failing reads, [`LoadError::Refused`] for a
/// checkpoint that must not be served.
pub async fn fetch(
    storage: &Storage,
    id: CheckpointId,
    promised: Option<&str>,
) -> Result<Unverified, LoadError> {
    let bytes = read(storage, keys::file(id, keys::MANIFEST), TEXT_LIMIT)
        .await
        .map_err(|error| too_large(error, RefusalReason::Manifest))?;
    let manifest_sha256 = sha256_hex(&bytes);
    if let Some(promised) = promised
        && promised != manifest_sha256
    {
        return Err(manifest_changed(promised, &manifest_sha256).into());
    }
    let manifest = Manifest::parse(&bytes, id)?;
    let files = &manifest.files;
    let (model, exam) = futures::try_join!(
        sized(storage, id, keys::MODEL, &files.model),
        sized(storage, id, keys::EXAM, &files.exam),
    )?;
    Ok(Unverified {
        manifest,
        manifest_sha256,
        model,
        exam,
    })
}

/// Reads a checkpoint and verifies it.
///
/// Cancel-safe, as it changes nothing. Hashing and decoding run on a blocking thread.
///
/// # Errors
/// Of [`fetch`] and of [`Unverified::verify`].
pub async fn load(storage: &Storage, id: CheckpointId) -> Result<Loaded, LoadError> {
    let fetched = fetch(storage, id, None).await?;
    tokio::task::spawn_blocking(move || fetched.verify())
        .await
        .map_err(StorageError::from)?
        .map_err(LoadError::from)
}

/// The bytes of `model.safetensors`, with size and digest checked against `manifest`, for copies.
/// The content is not decoded. Cancel-safe; hashing runs on a blocking thread.
///
/// # Errors
/// As [`load`].
pub async fn model_file(storage: &Storage, manifest: &Manifest) -> Result<Bytes, LoadError> {
    verified(storage, manifest.id, keys::MODEL, &manifest.files.model).await
}

/// The files of a checkpoint by name, for copies: with size and digest checked against the
/// manifest, which comes last. Their content is not decoded. Cancel-safe.
///
/// # Errors
/// As [`load`].
pub async fn files(
    storage: &Storage,
    id: CheckpointId,
) -> Result<[(&'static str, Bytes); 3], LoadError> {
    let bytes = read(storage, keys::file(id, keys::MANIFEST), TEXT_LIMIT)
        .await
        .map_err(|error| too_large(error, RefusalReason::Manifest))?;
    let manifest = Manifest::parse(&bytes, id)?;
    let exam = verified(storage, id, keys::EXAM, &manifest.files.exam);
    let (model, exam) = futures::try_join!(model_file(storage, &manifest), exam)?;
    Ok([
        (keys::MODEL, model),
        (keys::EXAM, exam),
        (keys::MANIFEST, bytes),
    ])
}

fn manifest_changed(promised: &str, found: &str) -> Refusal {
    let message = format!(
        "the manifest was changed after its promotion: its SHA-256 is {found}, and the serving record has \
         {promised}; restore manifest.json of this checkpoint and promote it again, or roll back to another one"
    );
    Refusal::new(RefusalReason::ManifestDigest, message)
}

/// The decoded content of the two files of a checkpoint.
pub(crate) struct Verified {
    layers: Vec<Layer>,
    answers: Answers,
}

/// Verifies the two files against their manifest, which is valid itself.
pub(crate) fn verify(manifest: &Manifest, model: &[u8], exam: &[u8]) -> Result<Verified, Refusal> {
    check_digest(keys::MODEL, &manifest.files.model, model)?;
    check_digest(keys::EXAM, &manifest.files.exam, exam)?;
    let layers = decode_model(model, &manifest.architecture)?;
    let answers = decode_exam(exam, &manifest.architecture)?;
    answers.check(&manifest.labels, manifest.temperature)?;
    Ok(Verified { layers, answers })
}

fn check_digest(name: &str, expected: &FileDigest, bytes: &[u8]) -> Result<(), Refusal> {
    check_size(name, expected, bytes.len() as u64)?;
    if sha256_hex(bytes) != expected.sha256 {
        let message = format!("{name} has another SHA-256 than its manifest has");
        return Err(Refusal::new(RefusalReason::Digest, message));
    }
    Ok(())
}

fn check_size(name: &str, expected: &FileDigest, size: u64) -> Result<(), Refusal> {
    if size == expected.size_bytes {
        return Ok(());
    }
    let message = format!(
        "{name} has {size} bytes where the manifest has {}",
        expected.size_bytes
    );
    Err(Refusal::new(RefusalReason::Size, message))
}

/// A file with the size and digest in the manifest.
async fn verified(
    storage: &Storage,
    id: CheckpointId,
    name: &'static str,
    expected: &FileDigest,
) -> Result<Bytes, LoadError> {
    let bytes = sized(storage, id, name, expected).await?;
    let (expected, checked) = (expected.clone(), bytes.clone());
    tokio::task::spawn_blocking(move || check_digest(name, &expected, &checked))
        .await
        .map_err(StorageError::from)??;
    Ok(bytes)
}

/// A file of exactly the size in the manifest, which is within the limits.
async fn sized(
    storage: &Storage,
    id: CheckpointId,
    name: &str,
    expected: &FileDigest,
) -> Result<Bytes, LoadError> {
    let bytes = read(storage, keys::file(id, name), expected.size_bytes)
        .await
        .map_err(|error| too_large(error, RefusalReason::Size))?;
    check_size(name, expected, bytes.len() as u64)?;
    Ok(bytes)
}

async fn read(storage: &Storage, key: String, limit: u64) -> Result<Bytes, StorageError> {
    let found = storage.get(&key, limit).await?;
    found.ok_or(StorageError::Missing { key })
}

fn too_large(error: StorageError, reason: RefusalReason) -> LoadError {
    match error {
        StorageError::TooLarge { size, limit, .. } => {
            let message = format!("a file has {size} bytes where at most {limit} are expected");
            Refusal::new(reason, message).into()
        }
        error => error.into(),
    }
}
