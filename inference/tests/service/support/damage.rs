//! Checkpoints that must not be served.

use super::{Net, PIXELS};
use digits_checkpoint::{encode_model, sha256_hex};
use std::path::Path;

/// What can be wrong with a checkpoint on the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    Truncated,
    HalfWritten,
    BitFlip,
    NotANumber,
    WrongShape,
    WrongExam,
    BrokenManifest,
    NewerFormat,
    BrokenHeader,
    OtherArchitecture,
}

pub(super) fn damage_files(folder: &Path, net: &Net, damage: Damage) {
    let model_path = folder.join("model.safetensors");
    let mut model = std::fs::read(&model_path).unwrap();
    let mut spoilt = net.layers.clone();
    match damage {
        Damage::WrongExam => return,
        Damage::Truncated => model.truncate(model.len() - 100),
        Damage::HalfWritten => model.truncate(model.len() / 2),
        Damage::BitFlip => *model.last_mut().unwrap() ^= 1,
        Damage::BrokenHeader => model[..8].copy_from_slice(&u64::MAX.to_le_bytes()),
        Damage::NotANumber => {
            spoilt[0].weight[7] = f32::NAN;
            model = encode_model(&spoilt).to_vec();
        }
        Damage::WrongShape => {
            // As many numbers in another form.
            let first = &mut spoilt[0];
            (first.inputs, first.outputs) = (first.outputs, first.inputs);
            first.bias = vec![0.0; PIXELS];
            model = encode_model(&spoilt).to_vec();
        }
        Damage::BrokenManifest | Damage::NewerFormat | Damage::OtherArchitecture => {}
    }
    std::fs::write(&model_path, &model).unwrap();
    let manifest_path = folder.join("manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&manifest_path).unwrap()).unwrap();
    match damage {
        // The digest is right, so only the content shows the damage.
        Damage::NotANumber | Damage::WrongShape | Damage::BrokenHeader => {
            manifest["files"]["model"]["sha256"] = sha256_hex(&model).into();
            manifest["files"]["model"]["size_bytes"] = model.len().into();
        }
        Damage::NewerFormat => manifest["format"] = 2.into(),
        Damage::OtherArchitecture => manifest["architecture"]["input_size"] = 783.into(),
        _ => {}
    }
    let mut bytes = serde_json::to_vec(&manifest).unwrap();
    if damage == Damage::BrokenManifest {
        bytes.truncate(bytes.len() / 2);
    }
    std::fs::write(manifest_path, bytes).unwrap();
}
