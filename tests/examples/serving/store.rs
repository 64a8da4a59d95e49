//! Makes a storage with untrained networks of a given shape, initialized as PyTorch initializes
//! linear layers: the cost of a prediction depends on the shape and on the images' ink.

use anyhow::{Context as _, Result};
use digits_checkpoint::{
    Draft, Exam, Layer, Storage, encode_exam, encode_model,
    id::{CheckpointId, ModelName},
    load,
    manifest::{
        Activation, Architecture, FORMAT, FileDigest, Files, InputSpec, Lineage, Manifest, Metrics,
        PictureNormalization,
    },
    publish,
    record::Role,
    serving::{Candidate, promote},
};
use digits_cli::onnx;
use digits_dataset::synthetic::{self, Options, SIDE};
use fastrand::Rng;
use jiff::Timestamp;
use std::{fs, path::Path};

/// Images of the load.
const IMAGES: usize = 64;
/// Images of the exam, from the same ones.
const EXAM: usize = 16;
const PIXELS: usize = SIDE * SIDE;
const CLASSES: usize = 10;
/// More than one, so that a swap changes the weights.
const CHECKPOINTS: u64 = 2;
const SCALE: f32 = 255.0;

/// Writes `<folder>/storage`, `<folder>/images` ([64, 784] bytes of drawn digits) and
/// `<folder>/model.onnx`. Returns the checkpoints; the first is served and equals the ONNX model.
pub async fn make(folder: &str, hidden: &[usize]) -> Result<Vec<CheckpointId>> {
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    let options = Options {
        train: 1,
        test: IMAGES,
        seed: 17,
    };
    let images = synthetic::generate(&options).test.images.pixels;
    fs::write(folder.join("images"), &images)?;
    let path = folder.join("storage");
    let storage = Storage::open(path.to_str().context("a path of UTF-8")?)?;
    let mut ids = Vec::new();
    for seed in 0..CHECKPOINTS {
        let draft = draft(hidden, seed, &images[..EXAM * PIXELS]);
        ids.push(publish(&storage, draft).await?.id);
    }
    let served = load(&storage, ids[0]).await?;
    fs::write(
        folder.join("model.onnx"),
        onnx::encode(&served, onnx::Pixels::Uint8),
    )?;
    let first = Candidate {
        checkpoint: ids[0],
        role: Role::Primary,
        share: None,
    };
    promote(&storage, &ModelName::default(), 0, first, "bench-serve").await?;
    Ok(ids)
}

fn draft(hidden: &[usize], seed: u64, exam: &[u8]) -> Draft {
    let mut random = Rng::with_seed(seed);
    let widths = [&[PIXELS], hidden, &[CLASSES]].concat();
    let layers: Vec<Layer> = widths
        .windows(2)
        .map(|pair| layer(pair[0], pair[1], &mut random))
        .collect();
    let no_digest = FileDigest {
        sha256: String::new(),
        size_bytes: 0,
    };
    let manifest = Manifest {
        format: FORMAT,
        id: CheckpointId::generate(),
        model: ModelName::default(),
        created_at: Timestamp::now(),
        after_sequence: None,
        architecture: Architecture {
            input_size: PIXELS,
            hidden: hidden.to_vec(),
            classes: CLASSES,
            activation: Activation::Relu,
        },
        input: InputSpec {
            height: SIDE,
            width: SIDE,
            scale: SCALE,
            mean: 0.0,
            std: 1.0,
        },
        labels: (0..CLASSES).map(|label| label.to_string()).collect(),
        picture_normalization: PictureNormalization::Mnist,
        temperature: 1.0,
        files: Files {
            model: no_digest.clone(),
            exam: no_digest,
        },
        metrics: Metrics::default(),
        report: None,
        training: None,
        lineage: Lineage::default(),
    };
    let logits = exam
        .chunks_exact(PIXELS)
        .flat_map(|image| answer(&layers, image))
        .collect();
    let exam = Exam {
        images: exam.len() / PIXELS,
        inputs: exam.to_vec(),
        logits,
    };
    Draft {
        manifest,
        model: encode_model(&layers),
        exam: encode_exam(&exam, PIXELS, CLASSES),
    }
}

/// Uniform within 1/√inputs.
fn layer(inputs: usize, outputs: usize, random: &mut Rng) -> Layer {
    let bound = 1.0 / (inputs as f32).sqrt();
    let mut draw = |count: usize| -> Vec<f32> {
        (0..count)
            .map(|_| (random.f32() * 2.0 - 1.0) * bound)
            .collect()
    };
    Layer {
        inputs,
        outputs,
        weight: draw(inputs * outputs),
        bias: draw(outputs),
    }
}

/// Logits by plain loops, in float64.
fn answer(layers: &[Layer], image: &[u8]) -> Vec<f32> {
    let mut values: Vec<f64> = image
        .iter()
        .map(|&pixel| f64::from(f32::from(pixel) / SCALE))
        .collect();
    for (index, layer) in layers.iter().enumerate() {
        let rows = layer.weight.chunks_exact(layer.inputs).zip(&layer.bias);
        let sums = rows.map(|(row, &bias)| {
            let products = row.iter().zip(&values).map(|(&w, &x)| f64::from(w) * x);
            f64::from(bias) + products.sum::<f64>()
        });
        let last = index + 1 == layers.len();
        values = sums
            .map(|sum| if last { sum } else { sum.max(0.0) })
            .collect();
    }
    values.into_iter().map(|value| value as f32).collect()
}
