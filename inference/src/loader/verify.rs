//! Fetches the files of a checkpoint and verifies them: digests, shapes, numbers, and the model.

use digits_checkpoint::{
    LoadError, Loaded, Refusal, RefusalReason, Storage, StorageError, Unverified, fetch,
    id::ModelName, record::Route,
};
use tokio::task::JoinSet;

/// [`fetch`] as a task of its own: a panic in it fails this load ([`StorageError::Task`]), which is
/// retried, and does not end the loader. Dropping the future ends the task.
///
/// # Errors
///
/// When files are missing or cannot be read, or the manifest is refused, such as one that is not
/// what the route promises, or that no signature covers where signatures are required.
pub async fn fetch_in_task(storage: &Storage, route: &Route) -> Result<Unverified, LoadError> {
    if storage.keys().is_some() && route.manifest_sha256.is_none() {
        let message = "the signed serving record has no digest of the manifest, so that its signature does not cover it";
        return Err(Refusal::new(RefusalReason::Signature, message).into());
    }
    let (storage, route) = (storage.clone(), route.clone());
    let mut task = JoinSet::new();
    task.spawn(async move {
        let promised = route.manifest_sha256.as_deref();
        fetch(&storage, route.checkpoint, promised).await
    });
    let ended = task.join_next().await.expect("a task was spawned");
    ended.map_err(StorageError::from)?
}

/// Verifies the files of a checkpoint of `model`.
///
/// # Errors
///
/// The first check that fails.
pub fn verify(unverified: Unverified, model: &ModelName) -> Result<Loaded, Refusal> {
    let loaded = unverified.verify()?;
    if loaded.manifest.model == *model {
        return Ok(loaded);
    }
    let message = format!(
        "the checkpoint is for the model {}, not for {model}",
        loaded.manifest.model
    );
    Err(Refusal::new(RefusalReason::Manifest, message))
}
