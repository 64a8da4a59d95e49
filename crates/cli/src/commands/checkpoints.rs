//! `digits checkpoints`: lists checkpoints, or shows one.

use crate::{args::Checkpoints, context::Context, lookup, served::Served};
use digits_cli::{
    Error, format,
    registry::Registry,
    render::{Column, Table, fields},
};
use digits_proto::{
    json,
    v1::{Checkpoint, Evaluation, JobState, ListCheckpointsRequest, TemperatureFit},
};
use serde_json::json;

/// Runs the command.
pub async fn run(args: Checkpoints, context: &Context) -> Result<(), Error> {
    let registry = Registry::open(&context.endpoints, args.at.storage.as_deref())?;
    if let Some(text) = &args.checkpoint {
        let id = lookup::checkpoint_id(text, &args.model, &registry).await?;
        return show(&registry.checkpoint(&id).await?, &registry, context).await;
    }
    let job_id = match args.job.as_str() {
        "" => String::new(),
        job => lookup::job_with_checkpoints(job, &registry).await?,
    };
    let filter = ListCheckpointsRequest {
        model: args.model.clone(),
        job_id: job_id.clone(),
        ..ListCheckpointsRequest::default()
    };
    let checkpoints = registry.checkpoints(filter, args.limit).await?;
    if checkpoints.is_empty()
        && !job_id.is_empty()
        && let Registry::Trainer(trainer) = &registry
    {
        // A job without checkpoints is an empty list, an unknown one an error.
        trainer.job(&job_id).await?;
    }
    if context.json {
        return context.document(&json!({ "checkpoints": json::display_all(&checkpoints) }));
    }
    if checkpoints.is_empty() {
        let similar = match args.model.as_str() {
            "" => String::new(),
            model => lookup::similar_model(model, &registry).await,
        };
        context.hint(&match (similar.as_str(), job_id.as_str()) {
            ("", "") => "no checkpoints: `digits train` publishes some".to_owned(),
            ("", job) => format!("no checkpoints of a job {job:?}"),
            (similar, _) => format!("no checkpoints of the model {:?}{similar}", args.model),
        });
    }
    let served = served(&checkpoints, &registry, context).await;
    context.print(context.table(&table(&checkpoints, &served.unwrap_or_default())))
}

async fn show(
    checkpoint: &Checkpoint,
    registry: &Registry,
    context: &Context,
) -> Result<(), Error> {
    if context.json {
        return context.document(&json::display(checkpoint));
    }
    let served = served(std::slice::from_ref(checkpoint), registry, context).await;
    let mut lines = details(checkpoint, context.width());
    lines.extend(served.map(|it| match it.get(&checkpoint.checkpoint_id) {
        Some(route) => format!("served as {}, by record {}", route.role, route.sequence),
        None => "not served".to_owned(),
    }));
    context.print(lines)
}

/// What serves of these checkpoints; with a hint, `None` if that cannot be read.
async fn served(
    checkpoints: &[Checkpoint],
    registry: &Registry,
    context: &Context,
) -> Option<Served> {
    let models = checkpoints.iter().map(|it| it.model.as_str());
    let served = Served::checkpoints(models, registry).await;
    served.map_or_else(|error| context.unknown_serving(&error), Some)
}

fn table(checkpoints: &[Checkpoint], served: &Served) -> Table {
    let mut table = Table::new(&[
        ("checkpoint", Column::Word),
        ("model", Column::Extra),
        ("created", Column::Word),
        ("accuracy", Column::Number),
        ("loss", Column::ExtraNumber),
        ("serves", Column::Word),
        ("epoch", Column::Number),
        ("network", Column::Extra),
        ("job", Column::Word),
    ]);
    for it in checkpoints {
        let validation = it.validation.as_ref();
        table.row(vec![
            it.checkpoint_id.clone(),
            it.model.clone(),
            format::time(it.created_at.as_ref()),
            validation.map_or_else(|| "-".to_owned(), |it| format::percent(it.accuracy)),
            validation.map_or_else(|| "-".to_owned(), |it| format!("{:.6}", it.loss_batch_mean)),
            served.role(&it.checkpoint_id),
            it.lineage
                .as_ref()
                .map(|it| it.epoch.to_string())
                .unwrap_or_default(),
            it.architecture
                .as_ref()
                .map(format::architecture)
                .unwrap_or_default(),
            unfinished(it).unwrap_or_default(),
        ]);
    }
    table
}

/// A checkpoint, field by field.
pub fn details(checkpoint: &Checkpoint, width: usize) -> Vec<String> {
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
            let images = format::grouped(it.images);
            let accuracy = format::percent(it.accuracy);
            format!(
                "accuracy {accuracy}, loss {:.6} ({images} images)",
                it.loss_batch_mean
            )
        })
    };
    let optional = |shown: bool, text: String| if shown { text } else { String::new() };
    let pairs = [
        ("checkpoint", checkpoint.checkpoint_id.clone()),
        ("created", format::time(checkpoint.created_at.as_ref())),
        (
            "network",
            architecture.map(format::architecture).unwrap_or_default(),
        ),
        (
            "",
            architecture
                .and_then(|it| it.size.as_ref())
                .map(format::network)
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
        (
            "calibration",
            checkpoint
                .calibration
                .as_ref()
                .map(calibration)
                .unwrap_or_default(),
        ),
        ("validation", measured(&checkpoint.validation)),
        ("test", measured(&checkpoint.test)),
        (
            "weights",
            format!(
                "sha256 {} ({} bytes)",
                checkpoint.weights_sha256,
                format::grouped(checkpoint.weights_size_bytes)
            ),
        ),
        ("job", lineage.job_id),
        ("job state", unfinished(checkpoint).unwrap_or_default()),
        ("promotion", promotion(checkpoint)),
        (
            "taken",
            format!(
                "after epoch {}, step {}",
                lineage.epoch,
                format::grouped(lineage.step)
            ),
        ),
        ("parent", lineage.parent_checkpoint_id),
        (
            "data",
            format!("{} {}", lineage.dataset, lineage.dataset_digest)
                .trim()
                .to_owned(),
        ),
        (
            "made by",
            format!(
                "digits {}, libtorch {}, {}",
                lineage.program_version, lineage.libtorch_version, lineage.device
            ),
        ),
    ];
    fields(&pairs, width)
}

/// The state of a job that published a checkpoint and did not get to its end.
fn unfinished(checkpoint: &Checkpoint) -> Option<String> {
    let state = checkpoint.job_state();
    matches!(state, JobState::Cancelled | JobState::Failed)
        .then(|| format::state(checkpoint.job_state))
}

/// Whether the checkpoint was promoted when it was published.
fn promotion(checkpoint: &Checkpoint) -> String {
    match &checkpoint.promotion {
        None => String::new(),
        Some(decision) if decision.sequence == 0 => {
            format!("not promoted: {}", decision.explanation)
        }
        Some(decision) => format!("by serving record {}", decision.sequence),
    }
}

/// Calibration error and loss before and after the temperature was fitted.
fn calibration(of: &TemperatureFit) -> String {
    let test = of.test_loss.map(|loss| format!(", test loss {loss:.6}"));
    format!(
        "error {:.2} % → {:.2} %, validation loss {:.6} → {:.6}{}",
        of.error_before * 100.0,
        of.error * 100.0,
        of.loss_before,
        of.loss,
        test.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_cli::render::{Style, visible_width};
    use digits_proto::v1::{Architecture, Lineage};

    #[test]
    fn checkpoints_with_long_names_fit_into_80_columns() {
        let checkpoint = |end: u8| Checkpoint {
            checkpoint_id: format!("0190a0b{end}-1234-7000-8000-000000000001"),
            model: "a-model-of-sixty-three-characters".repeat(2)[..63].to_owned(),
            created_at: Some(prost_types::Timestamp::default()),
            validation: Some(Evaluation {
                accuracy: 0.9,
                loss_batch_mean: 0.351_287,
                ..Evaluation::default()
            }),
            lineage: Some(Lineage {
                epoch: 10_000,
                ..Lineage::default()
            }),
            architecture: Some(Architecture {
                input_size: 784,
                hidden: vec![2_500, 2_000, 1_500, 1_000, 500],
                classes: 10,
                ..Architecture::default()
            }),
            job_state: JobState::Cancelled.into(),
            ..Checkpoint::default()
        };
        let checkpoints = [checkpoint(1), checkpoint(2)];
        let lines = table(&checkpoints, &Served::default()).lines(&Style::plain(80));
        assert_eq!(lines.len(), 3);
        for line in lines {
            assert!(visible_width(&line) <= 80, "{line}");
            assert!(
                line.starts_with("checkpoint") || line.contains("cancelled"),
                "{line}"
            );
        }
    }
}
