//! `digits checkpoints`.

use super::{fields, filled};
use crate::{args::Checkpoints, context::Context};
use digits_cli::{
    Error, Service, json,
    render::{Align, Table},
    text,
};
use digits_proto::v1::{Checkpoint, Evaluation, GetCheckpointRequest, ListCheckpointsRequest};
use serde_json::json;

/// Checkpoints of a page.
const PAGE: usize = 200;

/// Runs the command.
pub async fn run(args: Checkpoints, context: &Context) -> Result<(), Error> {
    let mut client = context.endpoints.checkpoints()?;
    if let Some(checkpoint_id) = args.checkpoint {
        let request = GetCheckpointRequest { checkpoint_id };
        let answer = client
            .get_checkpoint(request)
            .await
            .map_err(Error::trainer)?;
        let checkpoint = filled(
            answer.into_inner().checkpoint,
            Service::Trainer,
            "checkpoint",
        )?;
        return match context.json {
            true => context.document(&json::of(&checkpoint)),
            false => context.print(details(&checkpoint)),
        };
    }
    let mut checkpoints = Vec::new();
    let mut page_token = String::new();
    while checkpoints.len() < args.limit {
        let request = ListCheckpointsRequest {
            page_size: (args.limit - checkpoints.len()).min(PAGE) as u32,
            page_token,
            model: args.model.clone(),
            job_id: args.job.clone(),
        };
        let page = client
            .list_checkpoints(request)
            .await
            .map_err(Error::trainer)?
            .into_inner();
        checkpoints.extend(page.checkpoints);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    match context.json {
        true => context.document(&json!({ "checkpoints": json::all(&checkpoints) })),
        false => context.table(&table(&checkpoints)),
    }
}

fn table(checkpoints: &[Checkpoint]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("checkpoint", Left),
        ("model", Left),
        ("created", Left),
        ("accuracy", Right),
        ("loss", Right),
        ("epoch", Right),
        ("network", Left),
    ]);
    for it in checkpoints {
        let validation = it.validation.as_ref();
        table.row(vec![
            it.checkpoint_id.clone(),
            it.model.clone(),
            text::time(it.created_at.as_ref()),
            validation.map_or_else(|| "-".to_owned(), |it| text::percent(it.accuracy)),
            validation.map_or_else(|| "-".to_owned(), |it| format!("{:.6}", it.loss_batch_mean)),
            it.lineage
                .as_ref()
                .map(|it| it.epoch.to_string())
                .unwrap_or_default(),
            it.architecture
                .as_ref()
                .map(text::architecture)
                .unwrap_or_default(),
        ]);
    }
    table
}

/// A checkpoint, field by field.
pub fn details(checkpoint: &Checkpoint) -> Vec<String> {
    let lineage = checkpoint.lineage.clone().unwrap_or_default();
    let architecture = checkpoint.architecture.as_ref();
    let input = checkpoint.input.map(|it| {
        let scaled = format!("{}x{} grey pixels / {}", it.height, it.width, it.scale);
        match (it.mean, it.std) {
            (0.0, 1.0) => scaled,
            (mean, std) => format!("{scaled}, minus {mean}, / {std}"),
        }
    });
    let measured = |it: &Option<Evaluation>| {
        it.as_ref().map_or_else(String::new, |it| {
            let images = text::grouped(it.images);
            let accuracy = text::percent(it.accuracy);
            format!(
                "accuracy {accuracy}, loss {:.6} ({images} images)",
                it.loss_batch_mean
            )
        })
    };
    let optional = |shown: bool, text: String| if shown { text } else { String::new() };
    fields(&[
        ("checkpoint", checkpoint.checkpoint_id.clone()),
        ("created", text::time(checkpoint.created_at.as_ref())),
        (
            "network",
            architecture.map(text::architecture).unwrap_or_default(),
        ),
        (
            "",
            architecture
                .and_then(|it| it.size.as_ref())
                .map(text::network)
                .unwrap_or_default(),
        ),
        ("input", input.unwrap_or_default()),
        ("labels", checkpoint.label_names.join(" ")),
        (
            "temperature",
            optional(
                checkpoint.temperature != 1.0,
                checkpoint.temperature.to_string(),
            ),
        ),
        ("validation", measured(&checkpoint.validation)),
        ("test", measured(&checkpoint.test)),
        (
            "weights",
            format!(
                "sha256 {} ({} bytes)",
                checkpoint.weights_sha256,
                text::grouped(checkpoint.weights_size_bytes)
            ),
        ),
        ("job", lineage.job_id),
        (
            "taken",
            format!(
                "after epoch {}, step {}",
                lineage.epoch,
                text::grouped(lineage.step)
            ),
        ),
        ("parent", lineage.parent_checkpoint_id),
        ("data", lineage.dataset_digest),
        (
            "made by",
            format!(
                "digits {}, libtorch {}, {}",
                lineage.program_version, lineage.libtorch_version, lineage.device
            ),
        ),
    ])
}
