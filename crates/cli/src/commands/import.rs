//! `digits import`: makes a checkpoint of a PyTorch state dict.

use super::{checkpoints, serving};
use crate::{
    args::{BatchNorm, Import, Pictures},
    context::Context,
};
use digits_cli::{Error, error::read_file, import_report};
use digits_proto::{
    json,
    v1::{self, ImportHeader},
};
use serde_json::json;
use std::{iter, time::Duration};

/// Timeout of the call: the trainer measures the network on labelled images.
const PATIENCE: Duration = Duration::from_secs(310);

/// Runs the command.
pub async fn run(args: Import, context: &Context) -> Result<(), Error> {
    let file = read_file(&args.file)?;
    let timeout = context.endpoints.timeout.max(PATIENCE);
    let trainer = context.trainer()?.with_timeout(timeout);
    let imported = trainer.import(header(&args), &file).await?;
    let checkpoint = imported.checkpoint.clone().unwrap_or_default();
    let id = &checkpoint.checkpoint_id;
    let loss = match args.force {
        true => None,
        false => import_report::loss(&imported),
    };
    let served = match (args.promote, &loss) {
        (true, None) => Some(serving::serve(id.clone(), args.change, context).await?),
        _ => None,
    };
    if context.json {
        context.document(&json!({
            "checkpoint": json::display(&checkpoint),
            "notes": imported.notes,
            "measurement": imported.measurement.as_ref().map(json::display),
            "record": served.as_ref().map(|it| json::display(&it.record)),
        }))?;
    } else {
        context.print(checkpoints::details(&checkpoint, context.width()))?;
        context.print(import_report::lines(&imported))?;
    }
    for warning in import_report::warnings(&imported) {
        context.hint(&format!("warning: {warning}"));
    }
    let promote = format!("digits promote {id} --model {}", checkpoint.model);
    match (served, loss) {
        (Some(served), _) if !context.json => {
            let head = format!("served as version {}", served.record.sequence);
            context.print(iter::once(head).chain(served.lines()))
        }
        (None, Some(loss)) if args.promote => Err(Error::Negative(format!(
            "imported and not promoted: {loss}; serve it all the same with: {promote}"
        ))),
        (None, _) if !context.json => {
            context.hint(&format!("serve it with: {promote}"));
            Ok(())
        }
        _ => Ok(()),
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
        batch_norm: match args.batch_norm {
            None => v1::BatchNormPlace::Unspecified,
            Some(BatchNorm::Before) => v1::BatchNormPlace::BeforeActivation,
            Some(BatchNorm::After) => v1::BatchNormPlace::AfterActivation,
        }
        .into(),
        dataset: args.dataset.clone(),
        batch_norm_epsilon: Some(args.batch_norm_eps),
    }
}
