//! `digits evaluate`: measures the served model on a labelled set.

use crate::{args::Evaluate, context::Context, image_source};
use digits_cli::{
    Error,
    evaluate::{self, Evaluation, Options},
    format,
    render::{confusion, fields},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

/// Runs the command.
pub async fn run(args: Evaluate, context: &Context) -> Result<(), Error> {
    let client = context.inference()?;
    let labelled = image_source::load(&args.set, args.storage.as_deref()).await?;
    let bar = match context.json {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(labelled.set.labels.len() as u64),
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} images  {per_sec}") {
        bar.set_style(style.progress_chars(context.style.choose("━╸─", "=> ")));
    }
    let options = Options {
        model: args.model.clone(),
        images_per_request: args.images_per_request as usize,
        in_flight: args.in_flight as usize,
        loss_batch: args.batch as usize,
    };
    let result = evaluate::evaluate(&client, &labelled.set, &options, |done| {
        bar.set_position(done)
    })
    .await;
    bar.finish_and_clear();
    let result = result?;
    let model = client.model(&args.model).await.ok();
    let served = model
        .and_then(|model| model.served.into_iter().next())
        .and_then(|it| it.checkpoint);
    let temperature = served.map(|checkpoint| checkpoint.temperature);
    context.show(
        || document(&args.set, &result, temperature),
        || {
            let mut lines = fields(&summary(&args.set, &result, temperature), context.width());
            lines.push(String::new());
            let matrix = confusion(&result.confusion, &labelled.names, &context.style);
            lines.extend(matrix);
            lines
        },
    )
}

fn summary(
    set: &str,
    result: &Evaluation,
    temperature: Option<f64>,
) -> Vec<(&'static str, String)> {
    let versions: Vec<String> = result
        .versions
        .iter()
        .map(|it| {
            format!(
                "{} ({}, {} images)",
                it.sequence,
                it.checkpoint_id,
                format::grouped(it.images)
            )
        })
        .collect();
    let note = match temperature {
        Some(temperature) if temperature != 1.0 => {
            format!("{temperature} (the losses above are of the logits before it)")
        }
        _ => String::new(),
    };
    let served = match result.loss_served {
        Some(loss) if !note.is_empty() => format!("{loss:.6}  (of the probabilities, after it)"),
        _ => String::new(),
    };
    vec![
        (
            "set",
            format!("{set}, {} images", format::grouped(result.images)),
        ),
        (
            "accuracy",
            format!(
                "{:.2} %  ({} right, {} wrong)",
                result.accuracy() * 100.0,
                format::grouped(result.correct),
                format::grouped(result.images - result.correct)
            ),
        ),
        ("loss", format!("{:.6}  (mean over images)", result.loss)),
        (
            "",
            format!(
                "{:.6}  (mean over batches of {})",
                result.loss_batch_mean, result.loss_batch
            ),
        ),
        ("temperature", note),
        ("loss served", served),
        (
            "speed",
            format!(
                "{} images/s, {} in all",
                format::grouped(result.images_per_second() as u64),
                format::duration(result.elapsed)
            ),
        ),
        ("version", versions.join(", ")),
    ]
}

fn document(set: &str, result: &Evaluation, temperature: Option<f64>) -> Value {
    let classes = 0..result.confusion.classes();
    let versions = result.versions.iter().map(|it| {
        json!({"sequence": it.sequence, "checkpoint_id": it.checkpoint_id, "images": it.images})
    });
    json!({
        "set": set,
        "images": result.images,
        "correct": result.correct,
        "accuracy": result.accuracy(),
        "loss": result.loss,
        "loss_batch_mean": result.loss_batch_mean,
        "loss_served": result.loss_served,
        "batch_size": result.loss_batch,
        "temperature": temperature,
        "confusion": classes.map(|truth| result.confusion.row(truth).to_vec()).collect::<Vec<_>>(),
        "seconds": result.elapsed.as_secs_f64(),
        "images_per_second": result.images_per_second(),
        "versions": versions.collect::<Vec<_>>(),
    })
}
