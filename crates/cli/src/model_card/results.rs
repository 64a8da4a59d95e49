//! The curves, evaluations and report of a card.

use super::escape::text;
use crate::format::grouped;
use digits_checkpoint::manifest::{Evaluation, Manifest, Report};
use digits_proto::v1::CurveRow;
use std::fmt::Write as _;

/// Labels up to which the confusion matrix is printed.
const CONFUSION: usize = 26;
/// Styles with the highest errors that are named.
const STYLES: usize = 10;

/// The rows of a job's curves; nothing without any.
pub(super) fn curves(rows: &[CurveRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head = [
        "step",
        "epoch",
        "learning rate",
        "training loss",
        "validation loss",
        "validation accuracy",
    ];
    let lines = rows.iter().map(|row| {
        let of = |value: fn(&digits_proto::v1::Evaluation) -> String| {
            row.validation.as_ref().map_or_else(String::new, value)
        };
        [
            grouped(row.step),
            row.epoch.to_string(),
            format!("{:.3e}", row.learning_rate),
            format!("{:.4}", row.train_loss),
            of(|it| format!("{:.4}", it.loss_batch_mean)),
            of(|it| percent(it.accuracy)),
        ]
    });
    format!("## Curves\n\n{}", table(head, lines))
}

/// Results on the validation and the test images.
pub(super) fn evaluations(manifest: &Manifest) -> String {
    let metrics = &manifest.metrics;
    let row = |part: &str, it: &Evaluation| {
        [
            part.to_owned(),
            grouped(it.images),
            percent(it.accuracy()),
            grouped(it.images - it.correct.min(it.images)),
            format!("{:.4}", it.loss),
        ]
    };
    let rows = [("validation", &metrics.validation), ("test", &metrics.test)];
    let rows: Vec<[String; 5]> = rows
        .into_iter()
        .filter_map(|(part, it)| Some(row(part, it.as_ref()?)))
        .collect();
    if rows.is_empty() {
        return "## Results\n\nThe network was not measured.\n".to_owned();
    }
    let head = [
        "images",
        "count",
        "accuracy",
        "wrong",
        "mean cross-entropy (nats)",
    ];
    let mut section = format!("## Results\n\n{}", table(head, rows.into_iter()));
    if let Some(fit) = &metrics.calibration {
        let _ = write!(
            section,
            "\nThe temperature {:.4} was fitted on the validation images: it changes their expected calibration error from {} to \
             {} and their mean cross-entropy from {:.4} to {:.4}.\n",
            manifest.temperature,
            percent(fit.error_before),
            percent(fit.error),
            fit.loss_before,
            fit.loss,
        );
    }
    section
}

/// The report card.
pub(super) fn report(report: &Report, labels: &[String]) -> String {
    let mut section = format!(
        "## Report card\n\nOn the {} test images, {} are wrong ({}). On corrupted copies of them (MNIST-C's corruptions) {} are \
         wrong on average. Expected calibration error: {}.\n\n",
        grouped(report.images),
        grouped(report.errors),
        percent(report.error()),
        percent(report.mean_corruption_error),
        percent(report.calibration.expected_calibration_error),
    );
    let corruptions = report.corruptions.iter();
    section.push_str(&table(
        ["corruption", "wrong"],
        corruptions.map(|it| [text(&it.corruption.replace('_', " ")), percent(it.error)]),
    ));
    let coverages = report.coverages.iter().map(|it| {
        [
            percent(it.coverage),
            percent(it.error),
            format!("{:.4}", it.threshold),
        ]
    });
    section.push_str("\nWhere the least confident images may be left unanswered:\n\n");
    section.push_str(&table(
        ["answered", "wrong of these", "lowest probability"],
        coverages,
    ));
    if !report.styles.is_empty() {
        let mut styles: Vec<_> = report.styles.iter().collect();
        styles.sort_by(|a, b| b.error.total_cmp(&a.error));
        let rows = styles.into_iter().take(STYLES);
        section.push_str("\nThe ways of writing with the highest errors, on drawn digits:\n\n");
        section.push_str(&table(
            ["label", "way of writing", "wrong"],
            rows.map(|it| [text(&it.label), text(&it.style), percent(it.error)]),
        ));
    }
    if (1..=CONFUSION).contains(&report.confusion.len()) {
        section.push_str("\nTest images by true label (rows) and predicted label (columns):\n\n");
        section.push_str(&confusion(&report.confusion, labels));
    }
    section
}

fn confusion(matrix: &[Vec<u64>], labels: &[String]) -> String {
    let names = || labels.iter().map(|label| text(label));
    let head = [String::new()].into_iter().chain(names()).collect();
    let rows = names().zip(matrix).map(|(name, counts)| {
        let counts = counts.iter().map(ToString::to_string);
        [name].into_iter().chain(counts).collect()
    });
    lines(head, rows)
}

/// A table of Markdown.
pub(super) fn table<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    lines(
        head.map(str::to_owned).to_vec(),
        rows.map(|row| row.to_vec()),
    )
}

fn lines(head: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = format!("|{}\n", " --- |".repeat(head.len()));
    let rows: String = rows.map(|row| line(&row)).collect();
    format!("{}{rule}{rows}", line(&head))
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
