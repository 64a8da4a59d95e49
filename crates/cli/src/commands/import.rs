//! `digits import`: a state dict goes to the trainer, which makes a checkpoint of it.

use super::{checkpoints, filled, serving};
use crate::{
    args::{Activation, Import, Pictures},
    context::Context,
};
use digits_cli::{Error, Service, json};
use digits_proto::v1::{
    self, ImportCheckpointRequest, ImportHeader, import_checkpoint_request::Part,
};
use serde_json::json;
use std::{fs, path::Path};

/// Bytes of a message of the file.
const PIECE: usize = 256 << 10;

/// Runs the command.
pub async fn run(args: Import, context: &Context) -> Result<(), Error> {
    let file = read(&args.file)?;
    let mut messages = vec![message(Part::Header(header(&args)))];
    messages.extend(
        file.chunks(PIECE)
            .map(|piece| message(Part::Piece(piece.to_vec()))),
    );
    let answer = context
        .endpoints
        .checkpoints()?
        .import_checkpoint(futures::stream::iter(messages))
        .await
        .map_err(Error::trainer)?;
    let checkpoint = filled(
        answer.into_inner().checkpoint,
        Service::Trainer,
        "checkpoint",
    )?;
    let record = match args.promote {
        true => {
            let id = checkpoint.checkpoint_id.clone();
            Some(serving::serve(id, args.change, context).await?)
        }
        false => None,
    };
    if context.json {
        return context.document(&json!({
            "checkpoint": json::of(&checkpoint), "record": record.as_ref().map(json::of),
        }));
    }
    context.print(checkpoints::details(&checkpoint))?;
    match record {
        Some(record) => context.print([format!("served as version {}", record.sequence)]),
        None => {
            let id = &checkpoint.checkpoint_id;
            context.hint(&format!(
                "serve it with: digits promote {id} --model {}",
                checkpoint.model
            ));
            Ok(())
        }
    }
}

fn message(part: Part) -> ImportCheckpointRequest {
    ImportCheckpointRequest { part: Some(part) }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::Input {
        what: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn header(args: &Import) -> ImportHeader {
    let id = args.checkpoint_id.clone();
    ImportHeader {
        checkpoint_id: id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        model: Some(args.change.model.clone()),
        activation: match args.activation {
            Activation::Relu => v1::Activation::Relu,
            Activation::ScaledTanh => v1::Activation::ScaledTanh,
            Activation::Gelu => v1::Activation::Gelu,
        }
        .into(),
        input: Some(v1::InputSpec {
            height: args.height,
            width: args.width,
            scale: args.scale,
            mean: args.mean,
            std: args.std,
        }),
        label_names: args.labels.clone(),
        picture_normalization: match args.pictures {
            None => v1::PictureNormalization::Unspecified,
            Some(Pictures::Mnist) => v1::PictureNormalization::Mnist,
            Some(Pictures::None) => v1::PictureNormalization::None,
        }
        .into(),
        temperature: Some(args.temperature),
    }
}
