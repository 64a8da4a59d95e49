//! `digits export`: writes a checkpoint, verified, as an ONNX model or a safetensors file.

use crate::{
    args::{Export, Pixels},
    context::Context,
    lookup,
};
use bytes::Bytes;
use digits_checkpoint::{LoadError, Storage, id::CheckpointId, sha256_hex};
use digits_cli::{Error, error::write_file, onnx, registry::Registry};
use serde_json::json;

/// Runs the command.
pub async fn run(args: Export, context: &Context) -> Result<(), Error> {
    let registry = Registry::open(&context.endpoints, Some(&args.storage))?;
    let id: CheckpointId = lookup::checkpoint_id(&args.checkpoint, "", &registry)
        .await?
        .parse()
        .map_err(|error| Error::Usage(format!("{}: {error}", args.checkpoint)))?;
    let storage = Storage::open_existing(&args.storage)?;
    let bytes = match args.onnx {
        true => {
            let loaded = digits_checkpoint::load(&storage, id)
                .await
                .map_err(|error| unreadable(id, &error))?;
            let pixels = match args.input {
                Pixels::Uint8 => onnx::Pixels::Uint8,
                Pixels::Float32 => onnx::Pixels::Float32,
            };
            onnx::encode(&loaded, pixels).into()
        }
        false => weights(&storage, id).await?,
    };
    write_file(&args.output, &bytes)?;
    let (path, size, sha256) = (args.output.display(), bytes.len(), sha256_hex(&bytes));
    context.show(
        || {
            json!({
                "checkpoint_id": id.to_string(), "format": if args.onnx { "onnx" } else { "safetensors" },
                "file": path.to_string(), "size_bytes": size, "sha256": sha256,
            })
        },
        || vec![format!("{path}: {size} bytes, sha256 {sha256}")],
    )
}

async fn weights(storage: &Storage, id: CheckpointId) -> Result<Bytes, Error> {
    let manifest = digits_checkpoint::manifest(storage, id)
        .await
        .map_err(|error| unreadable(id, &error.into()))?
        .ok_or_else(|| {
            let reason =
                "there is no committed one of this id here; `digits checkpoints` lists them";
            Error::input(format!("checkpoint {id}"), reason)
        })?;
    digits_checkpoint::model_file(storage, &manifest)
        .await
        .map_err(|error| unreadable(id, &error))
}

fn unreadable(id: CheckpointId, error: &LoadError) -> Error {
    let reason = match error {
        LoadError::Refused(refusal) => format!("is damaged: {refusal}"),
        LoadError::Unavailable(error) => error.to_string(),
    };
    Error::input(format!("checkpoint {id}"), reason)
}
