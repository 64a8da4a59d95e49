//! `digits report`: shows the report card of a checkpoint.

use crate::{args::Report, context::Context, lookup};
use digits_cli::{
    Error,
    error::write_file,
    format,
    registry::Registry,
    render::{Bar, Confusion, Ink, Style, bars, confusion, digit, fields, visible_width},
};
use digits_client::{Error as ClientError, Service};
use digits_figure::hardest::{caption, hardest_images, picture};
use digits_proto::{
    json,
    v1::{Checkpoint, HardImage, ReportCard, StyleError},
};
use std::time::Duration;

/// Timeout of the call; the trainer's own is five minutes.
const PATIENCE: Duration = Duration::from_secs(310);
/// Ways of writing that are drawn, at most.
const HARDEST_STYLES: usize = 10;
/// Rows of hard images that are drawn in the terminal.
const ROWS: usize = 2;
/// Columns of a hard image, at least, and between two of them.
const NARROWEST: usize = 22;
const GAP: usize = 2;

/// Runs the command.
pub async fn run(args: Report, context: &Context) -> Result<(), Error> {
    let timeout = context.endpoints.timeout.max(PATIENCE);
    let trainer = context.trainer()?.with_timeout(timeout);
    let registry = Registry::Trainer(trainer.clone());
    let id = lookup::checkpoint_id(&args.checkpoint, "", &registry).await?;
    let answer = trainer.report(&id, args.again).await?;
    let (Some(report), Some(checkpoint)) = (&answer.report, &answer.checkpoint) else {
        return Err(Error::from(ClientError::Answer {
            service: Service::Trainer,
            reason: "no report or no checkpoint in it".to_owned(),
        }));
    };
    if let Some(path) = &args.output {
        write_file(path, &hardest_images(&report.hardest, checkpoint).png)?;
    }
    context.show(
        || json::display(&answer),
        || {
            let pairs = summary(checkpoint, report, answer.from_manifest);
            let mut all = fields(&pairs, context.width());
            all.extend(drawings(checkpoint, report, &context.style));
            all
        },
    )
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
    if !report.styles.is_empty() {
        lines.extend(heading("ways of writing with the highest error"));
        lines.extend(bars(&hardest_styles(report), style.width.min(80), style));
    }
    if !report.confusion.is_empty() {
        lines.push(String::new());
        lines.extend(confusion(&matrix(report), &checkpoint.label_names, style));
    }
    lines.extend(heading("hardest test images"));
    lines.extend(hardest(&report.hardest, checkpoint, style));
    lines
}

/// The ways of writing with the highest errors, highest first.
fn hardest_styles(report: &ReportCard) -> Vec<Bar> {
    let mut styles: Vec<&StyleError> = report.styles.iter().collect();
    styles.sort_by(|a, b| b.error.total_cmp(&a.error));
    let bar = |it: &StyleError| Bar {
        label: format!("{} {}", it.label, it.style),
        share: it.error,
        chosen: false,
    };
    styles.into_iter().take(HARDEST_STYLES).map(bar).collect()
}

fn summary(
    checkpoint: &Checkpoint,
    report: &ReportCard,
    from_manifest: bool,
) -> Vec<(&'static str, String)> {
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let calibration = report.calibration.unwrap_or_default();
    let mut pairs = vec![
        ("checkpoint", checkpoint.checkpoint_id.clone()),
        (
            "data set",
            format!(
                "{}, {} test images",
                report.dataset,
                format::grouped(report.images)
            ),
        ),
        (
            "error",
            format!(
                "{}  ({} wrong)",
                percent(report.error),
                format::grouped(report.errors)
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
    if !report.styles.is_empty() {
        pairs.insert(
            4,
            (
                "styles",
                format!(
                    "{}  (mean over {} ways of writing the digits)",
                    percent(report.mean_style_error),
                    report.styles.len()
                ),
            ),
        );
    }
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
            format::duration(Duration::from_secs_f64(report.seconds.clamp(0.0, 1e6)))
        ),
    ));
    pairs
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

/// The first rows of the images, as many in a row as fit; `-o` draws all of them.
fn hardest(images: &[HardImage], checkpoint: &Checkpoint, style: &Style) -> Vec<String> {
    let cells: Vec<Vec<String>> = images
        .iter()
        .map(|image| {
            let mut cell = digit(picture(image, checkpoint), style);
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
