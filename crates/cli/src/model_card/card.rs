//! The sections of a card, made of a manifest and the curves of its job.

use super::{escape::text, front_matter, limits, results};
use crate::format;
use digits_checkpoint::manifest::{Activation, Manifest, PictureNormalization};
use digits_proto::v1::CurveRow;
use std::fmt::Write as _;

/// The card.
#[must_use]
pub fn markdown(manifest: &Manifest, curves: &[CurveRow]) -> String {
    let mut card = front_matter::write(manifest);
    let sections = [
        introduction(manifest),
        usage(manifest),
        data(manifest),
        training(manifest),
        results::curves(curves),
        results::evaluations(manifest),
        manifest
            .report
            .as_deref()
            .map_or_else(String::new, |report| {
                results::report(report, &manifest.labels)
            }),
        limits::write(manifest),
    ];
    for section in sections.iter().filter(|section| !section.is_empty()) {
        card.push('\n');
        card.push_str(section);
    }
    card
}

fn introduction(manifest: &Manifest) -> String {
    let input = &manifest.input;
    format!(
        "# {}\n\nA multi-layer perceptron, {}, that classifies grey images of {} × {} pixels by {} labels: {}.\n\n\
         Checkpoint `{}`, of {}. SHA-256 of its weights: `{}`.\n",
        text(manifest.model.as_str()),
        network(manifest),
        input.height,
        input.width,
        manifest.labels.len(),
        named(&manifest.labels),
        manifest.id,
        manifest.created_at.strftime("%Y-%m-%d"),
        manifest.files.model.sha256,
    )
}

/// Its widths and its activation: `784-10-10 with ReLU`.
fn network(manifest: &Manifest) -> String {
    let architecture = &manifest.architecture;
    let widths = [architecture.input_size].into_iter();
    let widths = widths
        .chain(architecture.hidden.iter().copied())
        .chain([architecture.classes]);
    let widths: Vec<String> = widths.map(|width| width.to_string()).collect();
    let activation = match architecture.activation {
        Activation::Relu => "ReLU".to_owned(),
        Activation::ScaledTanh => "the scaled hyperbolic tangent".to_owned(),
        Activation::Gelu => "GELU".to_owned(),
        Activation::Tanh => "the hyperbolic tangent".to_owned(),
        Activation::Sigmoid => "the logistic function".to_owned(),
        Activation::LeakyRelu { negative_slope } => format!("leaky ReLU (slope {negative_slope})"),
    };
    format!("{} with {activation}", widths.join("-"))
}

/// The first labels by name.
fn named(labels: &[String]) -> String {
    const NAMED: usize = 40;
    let shown: Vec<String> = labels.iter().take(NAMED).map(|label| text(label)).collect();
    let more = match labels.len() {
        count if count > NAMED => format!(" and {} more", count - NAMED),
        _ => String::new(),
    };
    format!("{}{more}", shown.join(", "))
}

fn usage(manifest: &Manifest) -> String {
    let input = &manifest.input;
    let pictures = match manifest.picture_normalization {
        PictureNormalization::Mnist => {
            "Ink is light on a dark background. Pictures of other sizes are normalized as MNIST's digits first: the ink is found, scaled so that its longest side \
             takes 20 of 28 pixels, and moved so that its centre of mass is in the middle."
        }
        PictureNormalization::None => {
            "Pictures of other sizes are only scaled to the size of the input."
        }
    };
    format!(
        "## Use\n\nThe input is raw grey pixels from 0 to 255, divided by {}, minus {}, divided \
         by {}. The logits are divided by {} before the softmax. {pictures}\n\n\
         `digits export {} --hub FOLDER` writes this card with the weights (safetensors), `config.json`, an ONNX model and \
         `load.py`, which loads the weights in PyTorch:\n\n```python\nfrom load import predict\n\n\
         probabilities = predict(images)  # uint8, [images, {}, {}]\n```\n",
        input.scale,
        input.mean,
        input.std,
        manifest.temperature,
        manifest.id,
        input.height,
        input.width,
    )
}

fn data(manifest: &Manifest) -> String {
    let lineage = &manifest.lineage;
    if lineage.job.is_none() {
        return "## Data\n\nThe network was trained elsewhere and imported: the data that it was trained on is unknown.\n".to_owned();
    }
    let mut section = format!(
        "## Data\n\nTrained on the data set {}, digest `{}`; digest of its division into training and validation `{}`.",
        text(&lineage.dataset),
        lineage.dataset_digest,
        lineage.split_digest,
    );
    if let Some(set) = &manifest.training {
        let (least, most) = (set.label_counts.iter().min(), set.label_counts.iter().max());
        let counts = |count: Option<&u64>| format::grouped(count.copied().unwrap_or(0));
        let _ = write!(
            section,
            " {} images to train on, {} to {} of each label; their mean pixel is {:.4} of white.",
            format::grouped(set.label_counts.iter().sum()),
            counts(least),
            counts(most),
            set.mean_ink,
        );
    }
    section.push('\n');
    section
}

fn training(manifest: &Manifest) -> String {
    let lineage = &manifest.lineage;
    let mut rows: Vec<(&str, String)> = vec![
        ("Job", lineage.job.clone().unwrap_or_default()),
        (
            "Epoch, step",
            format!("{}, {}", lineage.epoch, format::grouped(lineage.step)),
        ),
        ("Seed", lineage.seed.to_string()),
        (
            "Started from",
            lineage.parent.map_or_else(String::new, |id| id.to_string()),
        ),
        ("Device", lineage.device.clone()),
        (
            "Threads",
            lineage
                .threads
                .map_or_else(String::new, |threads| threads.to_string()),
        ),
        (
            "digits, libtorch",
            format!("{}, {}", lineage.program_version, lineage.libtorch_version),
        ),
        (
            "SHA-256 of the imported file",
            lineage.imported_sha256.clone().unwrap_or_default(),
        ),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    let mut section = String::from("## Training\n\n");
    if lineage.job.is_none() {
        section = String::from("## Origin\n\n");
        rows.retain(|(name, _)| ["SHA-256 of the imported file", "Started from"].contains(name));
    }
    if rows.is_empty() {
        return String::new();
    }
    section.push_str(&results::table(
        ["", ""],
        rows.into_iter()
            .map(|(name, value)| [name.to_owned(), text(&value)]),
    ));
    if !lineage.spec.is_null() {
        let spec = serde_json::to_string_pretty(&lineage.spec).unwrap_or_default();
        let _ = write!(
            section,
            "\nThe complete job, which `digits reproduce {}` trains again:\n\n```json\n{spec}\n```\n",
            manifest.id
        );
    }
    section
}
