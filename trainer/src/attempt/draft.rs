//! The draft of a checkpoint as files on the storage.

use bytes::Bytes;
use digits_checkpoint::{Draft, runs::DraftFiles};

/// The manifest of a draft cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the manifest of a draft cannot be read: {0}")]
pub struct UnreadableDraft(String);

/// The files of a draft. Its manifest is CBOR and not JSON, of which a reader may round a number.
#[must_use]
pub fn draft_files(draft: &Draft) -> DraftFiles {
    let mut manifest = Vec::new();
    ciborium::into_writer(&draft.manifest, &mut manifest).expect("plain data, into memory");
    DraftFiles {
        manifest: Bytes::from(manifest),
        model: draft.model.clone(),
        exam: draft.exam.clone(),
    }
}

/// The draft of [`draft_files`].
///
/// # Errors
/// [`UnreadableDraft`] where the manifest is not one of this version.
pub fn draft_from(files: DraftFiles) -> Result<Draft, UnreadableDraft> {
    let manifest = ciborium::from_reader(files.manifest.as_ref());
    Ok(Draft {
        manifest: manifest.map_err(|error| UnreadableDraft(error.to_string()))?,
        model: files.model,
        exam: files.exam,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_checkpoint::manifest::Manifest;
    use serde_json::json;

    #[test]
    fn drafts_keep_every_bit() {
        let files = json!({"sha256": "", "size_bytes": 0});
        let manifest = json!({
            "format": 1, "id": "0190a0b0-0000-7000-8000-000000000001", "model": "bars",
            "created_at": "2026-01-01T00:00:00.123456789Z",
            "architecture": {
                "input_size": 2, "hidden": [3], "classes": 2,
                "activation": "leaky_relu", "negative_slope": 0.1_f32,
            },
            "input": {"height": 1, "width": 2, "scale": 255.0, "mean": 0.1307_f32, "std": 0.3081_f32},
            "labels": ["left", "right"], "picture_normalization": "none",
            "temperature": 1.0, "files": {"model": files, "exam": files}, "metrics": {},
            "lineage": {
                "seed": u64::MAX, "epoch": 1, "step": 2, "device": "cpu", "dataset": "",
                "dataset_digest": "", "split_digest": "", "program_version": "",
                "libtorch_version": "", "spec": {"epochs": 1, "learning_rate": 0.3, "none": null},
            },
        });
        let mut manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
        for digits in 0..1_000_u32 {
            manifest.temperature = 1.0 + f64::from(digits) / 997.0;
            manifest.metrics.train_loss = Some(manifest.temperature.recip());
            let draft = Draft {
                manifest: manifest.clone(),
                model: Bytes::from_static(b"model"),
                exam: Bytes::from_static(b"exam"),
            };
            let read = draft_from(draft_files(&draft)).expect("read");
            assert_eq!(read.manifest, manifest);
            assert_eq!((read.model, read.exam), (draft.model, draft.exam));
        }
    }
}
