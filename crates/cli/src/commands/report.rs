//! `digits report`: the report card of a checkpoint.

use super::{fields, filled};
use crate::{args::Report, context::Context};
use digits_cli::{
    Error, Service,
    client::Endpoints,
    json,
    plot::{Captioned, sheet},
    render::{Bar, Confusion, Ink, Picture, Style, bars, confusion, digit, visible_width},
    text,
};
use digits_proto::v1::{Checkpoint, HardImage, ReportCard, ReportCheckpointRequest};
use std::time::Duration;

/// The trainer itself gives up after five minutes.
const PATIENCE: Duration = Duration::from_secs(310);
/// Rows of hard images that are drawn in the terminal.
const ROWS: usize = 2;
/// Columns of a hard image, at least, and between two of them.
const NARROWEST: usize = 22;
const GAP: usize = 2;

/// Runs the command.
pub async fn run(args: Report, context: &Context) -> Result<(), Error> {
    let endpoints = Endpoints {
        timeout: context.endpoints.timeout.max(PATIENCE),
        ..context.endpoints.clone()
    };
    let mut client = endpoints.checkpoints()?;
    let request = ReportCheckpointRequest {
        checkpoint_id: args.checkpoint.clone(),
        measure_again: args.again,
    };
    let answer = client
        .report_checkpoint(request)
        .await
        .map_err(Error::trainer)?
        .into_inner();
    let report = filled(answer.report.clone(), Service::Trainer, "report")?;
    let checkpoint = answer.checkpoint.clone();
    let checkpoint = filled(checkpoint, Service::Trainer, "checkpoint")?;
    if let Some(path) = &args.output {
        let bytes = picture(&report, &checkpoint);
        std::fs::write(path, bytes).map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
    }
    match context.json {
        true => context.document(&json::of(&answer)),
        false => {
            let mut all = summary(&checkpoint, &report, answer.from_manifest);
            all.extend(drawings(&checkpoint, &report, &context.style));
            context.print(all)
        }
    }
}

/// Corruptions, confusion and hardest images.
fn drawings(checkpoint: &Checkpoint, report: &ReportCard, style: &Style) -> Vec<String> {
    let mut lines = Vec::new();
    let heading = |text: &str| [String::new(), style.paint(Ink::Strong, text)];
    lines.extend(heading("error on corrupted images"));
    let corruptions: Vec<Bar> = report
        .corruptions
        .iter()
        .map(|it| Bar {
            label: it.corruption.replace('_', " "),
            share: it.error,
            chosen: false,
        })
        .collect();
    lines.extend(bars(&corruptions, style.width.min(80), style));
    if !report.confusion.is_empty() {
        lines.push(String::new());
        lines.extend(confusion(&matrix(report), &checkpoint.label_names, style));
    }
    lines.extend(heading("hardest test images"));
    lines.extend(hardest(&report.hardest, checkpoint, style));
    lines
}

fn summary(checkpoint: &Checkpoint, report: &ReportCard, from_manifest: bool) -> Vec<String> {
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let calibration = report.calibration.unwrap_or_default();
    let mut pairs = vec![
        ("checkpoint", checkpoint.checkpoint_id.clone()),
        (
            "data set",
            format!(
                "{}, {} test images",
                report.dataset,
                text::grouped(report.images)
            ),
        ),
        (
            "error",
            format!(
                "{}  ({} wrong)",
                percent(report.error),
                text::grouped(report.errors)
            ),
        ),
        (
            "corrupted",
            format!(
                "{}  (mean over {} corruptions)",
                percent(report.mean_corruption_error),
                report.corruptions.len()
            ),
        ),
        (
            "calibration",
            format!(
                "loss {:.6}, calibration error {} in {} bins, temperature {}",
                calibration.negative_log_likelihood,
                percent(calibration.expected_calibration_error),
                calibration.bins,
                calibration.temperature
            ),
        ),
    ];
    for (index, it) in report.coverages.iter().enumerate() {
        pairs.push((
            if index == 0 { "surest" } else { "      " },
            format!(
                "{:.0} % of the images: error {}  (probability from {:.3} on)",
                it.coverage * 100.0,
                percent(it.error),
                it.threshold
            ),
        ));
    }
    let source = if from_manifest {
        ", read from the manifest"
    } else {
        ""
    };
    pairs.push((
        "measured",
        format!(
            "by version {} with libtorch {} in {}{source}",
            report.program_version,
            report.libtorch_version,
            text::duration(Duration::from_secs_f64(report.seconds.clamp(0.0, 1e6)))
        ),
    ));
    fields(&pairs)
}

fn matrix(report: &ReportCard) -> Confusion {
    let mut matrix = Confusion::new(report.confusion.len());
    for (truth, row) in report.confusion.iter().enumerate() {
        for (predicted, &count) in row.predicted.iter().enumerate() {
            matrix.add_many(truth, predicted, count);
        }
    }
    matrix
}

/// What is said of a hard image, in two lines.
fn caption(image: &HardImage, names: &[String]) -> [String; 2] {
    let name = |index: u32| {
        let known = names.get(index as usize);
        known.cloned().unwrap_or_else(|| index.to_string())
    };
    [
        format!("{}: {}", image.index, name(image.label_index)),
        format!(
            "said {} ({:.1} %)",
            name(image.predicted_index),
            image.probability * 100.0
        ),
    ]
}

fn picture_of<'a>(image: &'a HardImage, checkpoint: &Checkpoint) -> Picture<'a> {
    let input = checkpoint.input.unwrap_or_default();
    Picture {
        pixels: &image.pixels,
        height: input.height as usize,
        width: input.width as usize,
    }
}

/// Beside each other as many as fit, in a few rows; the rest with the picture of `-o`.
fn hardest(images: &[HardImage], checkpoint: &Checkpoint, style: &Style) -> Vec<String> {
    let cells: Vec<Vec<String>> = images
        .iter()
        .map(|image| {
            let mut cell = digit(picture_of(image, checkpoint), style);
            cell.extend(caption(image, &checkpoint.label_names));
            cell
        })
        .collect();
    let widths = cells.iter().flatten().map(|line| visible_width(line));
    let width = widths.max().unwrap_or(0).max(NARROWEST);
    let columns = ((style.width + GAP) / (width + GAP)).max(1);
    let mut lines = Vec::new();
    for row in cells.chunks(columns).take(ROWS) {
        let height = row.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..height {
            let mut joined = String::new();
            for (column, cell) in row.iter().enumerate() {
                let blank = column * (width + GAP) - visible_width(&joined);
                joined.push_str(&" ".repeat(blank));
                joined.push_str(cell.get(line).map_or("", String::as_str));
            }
            lines.push(joined.trim_end().to_owned());
        }
        lines.push(String::new());
    }
    if images.len() > ROWS * columns {
        lines.push(format!(
            "{} more: -o hardest.png draws all of them",
            images.len() - ROWS * columns
        ));
    }
    lines
}

/// All hard images as a PNG file.
fn picture(report: &ReportCard, checkpoint: &Checkpoint) -> Vec<u8> {
    let all: Vec<Captioned<'_>> = report
        .hardest
        .iter()
        .map(|image| Captioned {
            picture: picture_of(image, checkpoint),
            caption: caption(image, &checkpoint.label_names),
        })
        .collect();
    sheet(&all)
}
