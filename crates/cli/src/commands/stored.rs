//! Finds checkpoints on a storage, for the commands that read their files.

use crate::{context::Context, lookup};
use digits_checkpoint::{LoadError, Storage, id::CheckpointId, manifest::Manifest};
use digits_cli::{Error, registry::Registry};

/// The checkpoint that an argument means.
pub async fn find(text: &str, storage: &str, context: &Context) -> Result<CheckpointId, Error> {
    let registry = Registry::open(&context.endpoints, Some(storage))?;
    let id = lookup::checkpoint_id(text, "", &registry).await?;
    id.parse()
        .map_err(|error| Error::Usage(format!("{text}: {error}")))
}

/// The manifest of a checkpoint.
pub async fn manifest(storage: &Storage, id: CheckpointId) -> Result<Manifest, Error> {
    digits_checkpoint::manifest(storage, id)
        .await
        .map_err(|error| unreadable(id, &error.into()))?
        .ok_or_else(|| {
            let reason =
                "there is no committed one of this id here; `digits checkpoints` lists them";
            Error::input(format!("checkpoint {id}"), reason)
        })
}

/// The error of a checkpoint whose files cannot be read.
pub fn unreadable(id: CheckpointId, error: &LoadError) -> Error {
    let reason = match error {
        LoadError::Refused(refusal) => format!("is damaged: {refusal}"),
        LoadError::Unavailable(error) => error.to_string(),
    };
    Error::input(format!("checkpoint {id}"), reason)
}
