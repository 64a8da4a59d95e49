//! What a network cannot do, as far as its manifest tells.

use super::escape::text;
use digits_checkpoint::manifest::{Manifest, PictureNormalization};
use std::fmt::Write as _;

/// Images of a label below which it is named as rare.
const FEW: u64 = 100;

/// The section about limits.
pub(super) fn write(manifest: &Manifest) -> String {
    let mut limits = vec![
        "It answers every image with one of its labels, also an image of something else: a letter, two digits, noise. A \
         threshold on the probability helps little."
            .to_owned(),
    ];
    limits.push(match manifest.picture_normalization {
        PictureNormalization::Mnist => {
            "It expects digits that are centred and scaled as MNIST's are. Without that normalization most drawings and \
             photographs are read wrong."
                .to_owned()
        }
        PictureNormalization::None => {
            "It was trained on images as they are: others must be framed, lit and scaled in the same way.".to_owned()
        }
    });
    let lineage = &manifest.lineage;
    let metrics = &manifest.metrics;
    match (&metrics.test, &metrics.validation) {
        (Some(_), _) => limits.push(format!(
            "Its results are on the test images of {}, which are like those that it was trained on; on others they are worse.",
            text(&lineage.dataset)
        )),
        (None, Some(_)) => limits.push(
            "It was measured on validation images alone, which may have been used to choose it; the test images were not used."
                .to_owned(),
        ),
        (None, None) => limits.push("Its accuracy is unknown.".to_owned()),
    }
    match &manifest.report {
        None => limits.push(
            "Its robustness against noise, blur and other corruptions was not measured.".to_owned(),
        ),
        Some(report) => {
            let worst = report
                .corruptions
                .iter()
                .max_by(|a, b| a.error.total_cmp(&b.error));
            limits.extend(worst.map(|worst| {
                format!(
                    "It is least robust against {}: {:.1} % of such test images are wrong.",
                    text(&worst.corruption.replace('_', " ")),
                    worst.error * 100.0
                )
            }));
        }
    }
    limits.extend(rare(manifest));
    if metrics.calibration.is_none() {
        limits.push(
            "Its probabilities were not calibrated: they may be too high or too low.".to_owned(),
        );
    }
    if lineage.job.is_none() {
        limits.push("Where it comes from, and what it was trained on, is unknown here.".to_owned());
    }
    let mut section = String::from("## Limits\n\n");
    for limit in limits {
        let _ = writeln!(section, "* {limit}");
    }
    section
}

/// Labels that it has seen few images of.
fn rare(manifest: &Manifest) -> Option<String> {
    let set = manifest.training.as_ref()?;
    let counted = manifest.labels.iter().zip(&set.label_counts);
    let rare: Vec<String> = counted
        .filter(|(_, count)| **count < FEW)
        .map(|(label, count)| format!("{} ({count})", text(label)))
        .collect();
    (!rare.is_empty()).then(|| {
        let shown = rare.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
        format!(
            "It has seen few images of {} of its labels, such as {shown}.",
            rare.len()
        )
    })
}
