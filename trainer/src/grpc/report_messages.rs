//! A report card as a protobuf message.

use crate::reporter::MeasuredReport;
use digits_checkpoint::messages::hard_image;
use digits_proto::v1;

/// The report, with the data set from the checkpoint's manifest.
pub(super) fn report_card(measured: &MeasuredReport) -> v1::ReportCard {
    let (from, lineage) = (&measured.report, &measured.manifest.lineage);
    v1::ReportCard {
        dataset: lineage.dataset.clone(),
        dataset_digest: lineage.dataset_digest.clone(),
        images: from.images,
        errors: from.errors,
        error: from.error(),
        calibration: Some(v1::Calibration {
            temperature: from.calibration.temperature,
            negative_log_likelihood: from.calibration.negative_log_likelihood,
            expected_calibration_error: from.calibration.expected_calibration_error,
            bins: from.calibration.bins,
        }),
        coverages: from
            .coverages
            .iter()
            .map(|one| v1::CoverageError {
                coverage: one.coverage,
                error: one.error,
                threshold: one.threshold,
            })
            .collect(),
        corruptions: from
            .corruptions
            .iter()
            .map(|one| v1::CorruptionError {
                corruption: one.corruption.clone(),
                error: one.error,
            })
            .collect(),
        mean_corruption_error: from.mean_corruption_error,
        corruption_seed: from.corruption_seed,
        confusion: from
            .confusion
            .iter()
            .map(|row| v1::ConfusionRow {
                predicted: row.clone(),
            })
            .collect(),
        hardest: from.hardest.iter().map(hard_image).collect(),
        program_version: from.program_version.clone(),
        libtorch_version: from.libtorch_version.clone(),
        seconds: from.seconds,
        styles: from
            .styles
            .iter()
            .map(|one| v1::StyleError {
                label: one.label.clone(),
                style: one.style.clone(),
                images: one.images,
                error: one.error,
            })
            .collect(),
        mean_style_error: from.mean_style_error(),
    }
}
