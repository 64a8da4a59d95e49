//! Shared by the tests: a small checkpoint, and a store with fault injection.

mod fault;

pub use fault::{Fault, FaultStore};

use digits_checkpoint::{
    Draft, Exam, Layer, Storage, encode_exam, encode_model,
    id::CheckpointId,
    manifest::{
        Activation, Architecture, Evaluation, FORMAT, FileDigest, Files, InputSpec, Lineage,
        Manifest, Metrics, PictureNormalization,
    },
};
use jiff::{SignedDuration, Timestamp};
use object_store::{memory::InMemory, path::Path};
use std::sync::Arc;

/// Height, width, units and classes of the small network.
pub const SIZES: (usize, usize, usize, usize) = (2, 3, 4, 3);

/// An empty storage in memory, with the store beneath it.
pub fn memory() -> (Storage, Arc<FaultStore>) {
    let store = Arc::new(FaultStore::new(InMemory::new()));
    (
        Storage::from_store(store.clone(), Path::from("a/prefix")),
        store,
    )
}

/// A small network whose weights depend on `salt`.
pub fn layers(salt: u8) -> Vec<Layer> {
    let (height, width, units, classes) = SIZES;
    let layer = |outputs: usize, inputs: usize| Layer {
        outputs,
        inputs,
        weight: (0..outputs * inputs)
            .map(|index| index as f32 / 8.0 - f32::from(salt))
            .collect(),
        bias: vec![f32::from(salt); outputs],
    };
    vec![layer(units, height * width), layer(classes, units)]
}

/// Two images and their answers.
pub fn exam() -> Exam {
    let (height, width, _, classes) = SIZES;
    Exam {
        inputs: (0..2 * height * width).map(|index| index as u8).collect(),
        logits: (0..2 * classes).map(|index| index as f32 - 2.5).collect(),
        images: 2,
    }
}

/// A publishable checkpoint of `id`, made `age_seconds` ago.
pub fn draft(id: CheckpointId, salt: u8, age_seconds: i64) -> Draft {
    let (height, width, units, classes) = SIZES;
    let unknown = FileDigest {
        sha256: String::new(),
        size_bytes: 0,
    };
    let manifest = Manifest {
        format: FORMAT,
        id,
        model: "digits".parse().unwrap(),
        created_at: Timestamp::now() - SignedDuration::from_secs(age_seconds),
        after_sequence: None,
        architecture: Architecture {
            input_size: height * width,
            hidden: vec![units],
            classes,
            activation: Activation::Relu,
        },
        input: InputSpec {
            height,
            width,
            scale: 255.0,
            mean: 0.0,
            std: 1.0,
        },
        labels: (0..classes).map(|class| class.to_string()).collect(),
        picture_normalization: PictureNormalization::None,
        temperature: 1.0,
        files: Files {
            model: unknown.clone(),
            exam: unknown,
        },
        report: None,
        metrics: Metrics {
            validation: Some(Evaluation {
                images: 100,
                correct: 90,
                loss: 0.5,
                loss_batch_mean: 0.5,
                batch_size: 10,
            }),
            ..Metrics::default()
        },
        training: None,
        lineage: Lineage {
            dataset_digest: "d".into(),
            split_digest: "s".into(),
            ..Lineage::default()
        },
    };
    Draft {
        manifest,
        model: encode_model(&layers(salt)),
        exam: encode_exam(&exam(), height * width, classes),
    }
}

/// Publishes a new checkpoint, made `age_seconds` ago.
pub async fn published(storage: &Storage, age_seconds: i64) -> Manifest {
    let draft = draft(CheckpointId::generate(), 1, age_seconds);
    digits_checkpoint::publish(storage, draft).await.unwrap()
}
