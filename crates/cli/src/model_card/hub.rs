//! The files beside a card in a folder for the hub.

use digits_checkpoint::manifest::Manifest;
use serde_json::{Map, Value, json};

/// Loads the weights in PyTorch.
#[must_use]
pub fn loader() -> &'static str {
    include_str!("load.py")
}

/// `config.json`: what a program must know to compute with the weights.
#[must_use]
pub fn config(manifest: &Manifest) -> String {
    let Manifest {
        architecture,
        input,
        ..
    } = manifest;
    let by_index = manifest.labels.iter().enumerate();
    let id2label: Map<String, Value> = by_index
        .clone()
        .map(|(index, label)| (index.to_string(), json!(label)))
        .collect();
    let label2id: Map<String, Value> = by_index
        .map(|(index, label)| (label.clone(), json!(index)))
        .collect();
    let mut config = json!({
        "model_type": "digits-mlp",
        "checkpoint_id": manifest.id.to_string(),
        "weights_sha256": manifest.files.model.sha256,
        "height": input.height,
        "width": input.width,
        "scale": input.scale,
        "mean": input.mean,
        "std": input.std,
        "temperature": manifest.temperature,
        "picture_normalization": manifest.picture_normalization,
        "id2label": id2label,
        "label2id": label2id,
    });
    // Beside the others: input_size, hidden, classes, activation, negative_slope.
    if let (Value::Object(config), Ok(Value::Object(network))) =
        (&mut config, serde_json::to_value(architecture))
    {
        config.extend(network);
    }
    serde_json::to_string_pretty(&config).unwrap_or_default() + "\n"
}
