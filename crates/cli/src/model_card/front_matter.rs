//! The front matter of a card: YAML that the hub indexes, with the results in its `model-index`.

use digits_checkpoint::manifest::{Evaluation, Manifest};
use digits_dataset::mnist;
use serde_json::{Value, json};

/// The hub's name of MNIST.
const MNIST: &str = "ylecun/mnist";

/// The lines from `---` to `---`.
pub(super) fn write(manifest: &Manifest) -> String {
    let is_mnist = manifest.lineage.dataset_digest == mnist::content_digest();
    let mut fields = vec![
        ("library_name", json!("pytorch")),
        ("pipeline_tag", json!("image-classification")),
        ("tags", json!(["digits", "mlp", "safetensors", "onnx"])),
        ("metrics", json!(["accuracy"])),
    ];
    if is_mnist {
        fields.push(("datasets", json!([MNIST])));
    }
    let evaluations = [
        ("validation", manifest.metrics.validation),
        ("test", manifest.metrics.test),
    ];
    let results: Vec<Value> = evaluations
        .into_iter()
        .filter_map(|(split, evaluation)| Some(result(manifest, is_mnist, split, &evaluation?)))
        .collect();
    if !results.is_empty() {
        let index = json!([{ "name": manifest.model.as_str(), "results": results }]);
        fields.push(("model-index", index));
    }
    // JSON is YAML, and has no text that means something else there.
    let lines = fields
        .into_iter()
        .map(|(name, value)| format!("{name}: {value}\n"));
    format!("---\n{}---\n", lines.collect::<String>())
}

fn result(manifest: &Manifest, is_mnist: bool, split: &str, evaluation: &Evaluation) -> Value {
    let lineage = &manifest.lineage;
    let kind = if is_mnist {
        MNIST
    } else {
        lineage.dataset.as_str()
    };
    let metric =
        |kind: &str, name: &str, value: f64| json!({ "type": kind, "name": name, "value": value });
    json!({
        "task": { "type": "image-classification", "name": "Image classification" },
        "dataset": {
            "name": lineage.dataset,
            "type": kind,
            "split": split,
            "args": { "digest": lineage.dataset_digest },
        },
        "metrics": [
            metric("accuracy", "Accuracy", evaluation.accuracy()),
            metric("cross-entropy", "Mean cross-entropy in nats", evaluation.loss),
        ],
    })
}
