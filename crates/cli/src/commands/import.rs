//! `digits import`: sends a state dict to the trainer, which makes a checkpoint of it.

use super::{checkpoints, serving};
use crate::{
    args::{Import, Pictures},
    context::Context,
};
use digits_cli::{Error, error::read_file};
use digits_proto::{
    json,
    v1::{self, ImportHeader},
};
use serde_json::json;

/// Runs the command.
pub async fn run(args: Import, context: &Context) -> Result<(), Error> {
    let file = read_file(&args.file)?;
    let trainer = context.trainer()?;
    let checkpoint = trainer.import(header(&args), &file).await?;
    let record = match args.promote {
        true => {
            let id = checkpoint.checkpoint_id.clone();
            Some(serving::serve(id, args.change, context).await?)
        }
        false => None,
    };
    if context.json {
        return context.document(&json!({
            "checkpoint": json::display(&checkpoint), "record": record.as_ref().map(json::display),
        }));
    }
    context.print(checkpoints::details(&checkpoint, context.width()))?;
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

fn header(args: &Import) -> ImportHeader {
    let id = args.checkpoint_id.clone();
    ImportHeader {
        checkpoint_id: id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        model: Some(args.change.model.clone()),
        activation: v1::Activation::from(args.activation).into(),
        negative_slope: args.negative_slope,
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
