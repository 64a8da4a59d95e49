//! Cards of manifests as trainers and imports write them.

use super::*;
use digits_checkpoint::manifest::Manifest;
use digits_proto::v1::CurveRow;
use serde_json::{Value, json};

fn manifest(change: impl FnOnce(&mut Value)) -> Manifest {
    let evaluation = json!({
        "images": 10_000, "correct": 9_871, "loss": 0.0421, "loss_batch_mean": 0.0422, "batch_size": 64,
    });
    let mut manifest = json!({
        "format": 1,
        "id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "model": "digits",
        "created_at": "2026-01-02T03:04:05Z",
        "architecture": { "input_size": 784, "hidden": [192], "classes": 2, "activation": "leaky_relu", "negative_slope": 0.5 },
        "input": { "height": 28, "width": 28, "scale": 255.0, "mean": 0.0, "std": 1.0 },
        "labels": ["a|b", "#2"],
        "picture_normalization": "mnist",
        "temperature": 1.25,
        "files": {
            "model": { "sha256": "0123", "size_bytes": 9 },
            "exam": { "sha256": "4567", "size_bytes": 9 },
        },
        "metrics": { "validation": evaluation, "test": evaluation },
        "training": { "label_counts": [50_000, 7], "mean_ink": 0.1307 },
        "lineage": {
            "job": "0a", "spec": { "preset": "fast" }, "seed": 5, "epoch": 2, "step": 1_500,
            "dataset": "mine", "dataset_digest": "89ab", "split_digest": "cdef", "program_version": "0.1.0",
            "libtorch_version": "2.11.0", "device": "cpu", "threads": 1,
        },
    });
    change(&mut manifest);
    serde_json::from_value(manifest).expect("a manifest")
}

fn report() -> Value {
    json!({
        "images": 100, "errors": 3, "mean_corruption_error": 0.2, "corruption_seed": 0,
        "calibration": {
            "temperature": 1.0, "negative_log_likelihood": 0.1, "expected_calibration_error": 0.01, "bins": 15,
        },
        "coverages": [{ "coverage": 0.95, "error": 0.005, "threshold": 0.71 }],
        "corruptions": [
            { "corruption": "shot_noise", "error": 0.1 }, { "corruption": "fog", "error": 0.3 },
        ],
        "styles": [{ "label": "7", "style": "long flag", "images": 10, "error": 0.4 }],
        "confusion": [[48, 2], [1, 49]],
        "hardest": [], "program_version": "0.1.0", "libtorch_version": "2.11.0", "seconds": 1.0,
    })
}

/// The fields between the two lines of dashes.
fn front_matter(card: &str) -> Vec<(String, Value)> {
    let lines = card
        .strip_prefix("---\n")
        .and_then(|it| it.split_once("---\n"));
    let fields = lines.expect("front matter").0.lines().map(|line| {
        let (name, value) = line.split_once(": ").expect("a field");
        (name.to_owned(), serde_json::from_str(value).expect("JSON"))
    });
    fields.collect()
}

#[test]
fn a_card_has_data_spec_curves_report_and_limits() {
    let manifest = manifest(|it| it["report"] = report());
    let row = CurveRow {
        step: 1_000,
        epoch: 2,
        train_loss: 0.125,
        learning_rate: 0.01,
        ..CurveRow::default()
    };
    let card = markdown(&manifest, &[row]);
    for part in [
        "# digits\n",
        "784-192-2 with leaky ReLU (slope 0.5)",
        "28 × 28 pixels by 2 labels: a\\|b, \\#2.",
        "Checkpoint `01890a5d-ac96-774b-bcce-b302099a8057`, of 2026-01-02. SHA-256 of its weights: `0123`.",
        "divided by 1.25 before the softmax. Ink is light on a dark background. Pictures of other sizes",
        "on the data set mine, digest `89ab`",
        "50,007 images to train on, 7 to 50,000 of each label; their mean pixel is 0.1307 of white.",
        "| Epoch, step | 2, 1,500 |",
        "\"preset\": \"fast\"",
        "| 1,000 | 2 | 1.000e-2 | 0.1250 |  |  |",
        "| test | 10,000 | 98.71 % | 129 | 0.0421 |",
        "On the 100 test images, 3 are wrong (3.00 %)",
        "| shot noise | 10.00 % |",
        "| 95.00 % | 0.50 % | 0.7100 |",
        "| 7 | long flag | 40.00 % |",
        "| a\\|b | 48 | 2 |",
        "* It is least robust against fog: 30.0 % of such test images are wrong.",
        "* It has seen few images of 1 of its labels, such as \\#2 (7).",
        "* Its probabilities were not calibrated",
    ] {
        assert!(card.contains(part), "{part:?} in {card}");
    }
    let fields = front_matter(&card);
    let index = &fields
        .iter()
        .find(|(name, _)| name == "model-index")
        .expect("results")
        .1;
    let result = &index[0]["results"][1];
    assert_eq!(result["dataset"]["split"], "test");
    assert_eq!(result["dataset"]["type"], "mine");
    assert_eq!(result["metrics"][0]["value"], 0.9871);
    assert!(!fields.iter().any(|(name, _)| name == "datasets"));
}

#[test]
fn mnist_has_its_name_of_the_hub() {
    let manifest = manifest(|it| {
        it["lineage"]["dataset_digest"] = json!(digits_dataset::mnist::content_digest());
    });
    let fields = front_matter(&markdown(&manifest, &[]));
    assert!(
        fields.contains(&("datasets".to_owned(), json!(["ylecun/mnist"]))),
        "{fields:?}"
    );
}

#[test]
fn what_is_unknown_is_a_limit() {
    let manifest = manifest(|it| {
        it["metrics"] = json!({});
        it["lineage"] = json!({
            "seed": 0, "epoch": 0, "step": 0, "device": "", "dataset": "", "dataset_digest": "", "split_digest": "",
            "program_version": "", "libtorch_version": "", "imported_sha256": "9876",
        });
    });
    let card = markdown(&manifest, &[]);
    for part in [
        "the data that it was trained on is unknown",
        "| SHA-256 of the imported file | 9876 |",
        "The network was not measured.",
        "* Its accuracy is unknown.",
        "* Its robustness against noise, blur and other corruptions was not measured.",
    ] {
        assert!(card.contains(part), "{part:?} in {card}");
    }
    assert!(
        !card.contains("## Curves") && !card.contains("model-index"),
        "{card}"
    );
}

#[test]
fn the_configuration_has_what_a_program_computes_with() {
    let config: Value = serde_json::from_str(&config(&manifest(|_| {}))).expect("JSON");
    let expected = json!({
        "hidden": [192], "activation": "leaky_relu", "negative_slope": 0.5, "temperature": 1.25, "height": 28,
        "id2label": { "0": "a|b", "1": "#2" }, "label2id": { "a|b": 0, "#2": 1 },
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&config[name], value, "{name}");
    }
    assert!(loader().lines().count() <= 20);
}
