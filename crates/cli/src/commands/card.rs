//! `digits card`: writes the model card of a checkpoint.

use super::stored;
use crate::{args::Card, context::Context};
use digits_checkpoint::{Storage, manifest::Manifest};
use digits_cli::{Error, error::write_file, error_report, model_card};
use digits_proto::v1::CurveRow;
use serde_json::json;

/// Rows of the curves in a card.
const ROWS: u32 = 20;

/// Runs the command.
pub async fn run(args: Card, context: &Context) -> Result<(), Error> {
    let id = stored::find(&args.checkpoint, &args.storage, context).await?;
    let manifest = stored::manifest(&Storage::open_existing(&args.storage)?, id).await?;
    let card = model_card::markdown(&manifest, &curves(&manifest, context).await);
    let Some(path) = args.output else {
        return context.show(
            || json!({ "checkpoint_id": id.to_string(), "card": card }),
            || vec![card.trim_end().to_owned()],
        );
    };
    write_file(&path, card.as_bytes())?;
    let (path, size) = (path.display(), card.len());
    context.show(
        || json!({ "checkpoint_id": id.to_string(), "file": path.to_string(), "size_bytes": size }),
        || vec![format!("{path}: {size} bytes")],
    )
}

/// The curves of the checkpoint's job up to the checkpoint; none, with a hint, if the trainer does not
/// answer.
pub async fn curves(manifest: &Manifest, context: &Context) -> Vec<CurveRow> {
    let Some(job) = &manifest.lineage.job else {
        return Vec::new();
    };
    let history = async { Ok::<_, Error>(context.trainer()?.history(job, ROWS).await?) };
    match history.await {
        Ok(history) => {
            let mut rows = history.rows;
            rows.retain(|row| row.step <= manifest.lineage.step);
            rows
        }
        Err(error) => {
            let reasons = error_report::lines(&error, &context.endpoints).join("; ");
            context.hint(&format!("the card has no curves: {reasons}"));
            Vec::new()
        }
    }
}
