//! `digits export`: writes a checkpoint, verified, as an ONNX model, a safetensors file or a folder
//! for the Hugging Face hub, or a job for TensorBoard.

use super::{card, stored, tensorboard};
use crate::{
    args::{Export, Pixels},
    context::Context,
};
use bytes::Bytes;
use digits_checkpoint::{Storage, id::CheckpointId, sha256_hex};
use digits_cli::{Error, error::write_file, model_card, onnx};
use serde_json::json;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Runs the command.
pub async fn run(args: Export, context: &Context) -> Result<(), Error> {
    if let Some(folder) = &args.tensorboard {
        return tensorboard::run(&args, folder, context).await;
    }
    let url = args.storage.unwrap_or_default();
    let id = stored::find(&args.checkpoint, &url, context).await?;
    let storage = Storage::open_existing(&url)?;
    if let Some(folder) = &args.hub {
        return hub(folder, &storage, id, context).await;
    }
    let output: PathBuf = args.output.unwrap_or_default();
    let bytes = match args.onnx {
        true => {
            let loaded = digits_checkpoint::load(&storage, id)
                .await
                .map_err(|error| stored::unreadable(id, &error))?;
            let pixels = match args.input {
                Pixels::Uint8 => onnx::Pixels::Uint8,
                Pixels::Float32 => onnx::Pixels::Float32,
            };
            onnx::encode(&loaded, pixels).into()
        }
        false => weights(&storage, id).await?,
    };
    write_file(&output, &bytes)?;
    let (path, size, sha256) = (output.display(), bytes.len(), sha256_hex(&bytes));
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

/// Writes a folder for the hub.
async fn hub(
    folder: &Path,
    storage: &Storage,
    id: CheckpointId,
    context: &Context,
) -> Result<(), Error> {
    let loaded = digits_checkpoint::load(storage, id)
        .await
        .map_err(|error| stored::unreadable(id, &error))?;
    let weights = weights(storage, id).await?;
    let curves = card::curves(&loaded.manifest, context).await;
    empty(folder)?;
    let files: [(&str, Bytes); 5] = [
        (
            "README.md",
            model_card::markdown(&loaded.manifest, &curves).into(),
        ),
        ("config.json", model_card::config(&loaded.manifest).into()),
        ("load.py", model_card::loader().into()),
        (
            "model.onnx",
            onnx::encode(&loaded, onnx::Pixels::Uint8).into(),
        ),
        ("model.safetensors", weights),
    ];
    for (name, bytes) in &files {
        write_file(&folder.join(name), bytes)?;
    }
    let shown = folder.display();
    let names = files.each_ref().map(|(name, _)| *name);
    context.show(
        || json!({ "checkpoint_id": id.to_string(), "format": "hub", "folder": shown.to_string(), "files": names }),
        || vec![format!("{shown}: {}", names.join(", "))],
    )
}

/// Makes a folder, which must be empty if it is there: what is in it may be another model.
fn empty(folder: &Path) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Write {
        path: folder.to_owned(),
        source,
    };
    fs::create_dir_all(folder).map_err(failed)?;
    match fs::read_dir(folder).map_err(failed)?.next() {
        None => Ok(()),
        Some(_) => Err(failed(io::Error::other(
            "it is not empty: name another folder",
        ))),
    }
}

async fn weights(storage: &Storage, id: CheckpointId) -> Result<Bytes, Error> {
    let manifest = stored::manifest(storage, id).await?;
    digits_checkpoint::model_file(storage, &manifest)
        .await
        .map_err(|error| stored::unreadable(id, &error))
}
