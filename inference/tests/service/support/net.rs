//! A small test network, with the expected answers computed by plain loops.

use digits_checkpoint::{
    Draft, Exam, Layer, encode_exam, encode_model,
    id::CheckpointId,
    manifest::{
        Activation, Architecture, Evaluation, FORMAT, FileDigest, Files, InputSpec, Lineage,
        Manifest, Metrics, PictureNormalization,
    },
};
use jiff::Timestamp;

/// A network: its layers and how it reads pixels.
#[derive(Clone)]
pub struct Net {
    pub layers: Vec<Layer>,
    pub input: InputSpec,
    pub normalization: PictureNormalization,
    /// Name of a label.
    pub label: fn(usize) -> String,
}

pub const SIDE: usize = 28;
pub const PIXELS: usize = SIDE * SIDE;

impl Net {
    /// 784-16-10 with weights of its own per seed; it predicts `favourite` for any image.
    pub fn favouring(favourite: usize, seed: u64) -> Self {
        Self::with_hidden(&[16], favourite, seed)
    }

    /// The same with hidden layers of these widths.
    pub fn with_hidden(hidden: &[usize], favourite: usize, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let mut layer = |inputs: usize, outputs: usize| Layer {
            outputs,
            inputs,
            weight: (0..inputs * outputs).map(|_| next() * 0.05).collect(),
            bias: vec![0.0; outputs],
        };
        let widths = [&[PIXELS], hidden, &[10]].concat();
        let mut layers: Vec<Layer> = widths
            .windows(2)
            .map(|pair| layer(pair[0], pair[1]))
            .collect();
        layers[hidden.len()].bias[favourite] = 8.0;
        Self {
            layers,
            input: InputSpec {
                height: SIDE,
                width: SIDE,
                scale: 255.0,
                mean: 0.1307,
                std: 0.3081,
            },
            normalization: PictureNormalization::Mnist,
            label: |label| format!("label {label}"),
        }
    }

    /// Logits by plain loops, in float64 between the float32 weights.
    pub fn logits(&self, image: &[u8]) -> Vec<f32> {
        let InputSpec {
            scale, mean, std, ..
        } = self.input;
        let mut values: Vec<f64> = image
            .iter()
            .map(|&p| f64::from((f32::from(p) / scale - mean) / std))
            .collect();
        for (index, layer) in self.layers.iter().enumerate() {
            let rows = layer.weight.chunks_exact(layer.inputs).zip(&layer.bias);
            values = rows
                .map(|(row, &bias)| {
                    let sum: f64 = row
                        .iter()
                        .zip(&values)
                        .map(|(&w, &x)| f64::from(w) * x)
                        .sum();
                    let sum = sum + f64::from(bias);
                    if index + 1 < self.layers.len() {
                        sum.max(0.0)
                    } else {
                        sum
                    }
                })
                .collect();
        }
        values.into_iter().map(|value| value as f32).collect()
    }

    pub fn classes(&self) -> usize {
        self.layers.last().unwrap().outputs
    }

    fn exam(&self) -> Exam {
        let inputs: Vec<u8> = [
            vec![0; PIXELS],
            vec![255; PIXELS],
            image(1),
            image(2),
            image(3),
            image(4),
        ]
        .concat();
        let logits: Vec<f32> = inputs
            .chunks_exact(PIXELS)
            .flat_map(|image| self.logits(image))
            .collect();
        Exam {
            images: inputs.len() / PIXELS,
            inputs,
            logits,
        }
    }

    /// Ready to be published.
    pub fn draft(&self, model: &str) -> Draft {
        self.draft_with(model, &self.exam())
    }

    pub fn draft_with_wrong_exam(&self, model: &str) -> Draft {
        let mut exam = self.exam();
        exam.logits[13] += 0.01;
        self.draft_with(model, &exam)
    }

    fn draft_with(&self, model: &str, exam: &Exam) -> Draft {
        let classes = self.classes();
        let no_digest = FileDigest {
            sha256: String::new(),
            size_bytes: 0,
        };
        let validation = Evaluation {
            images: 100,
            correct: 90,
            loss: 0.35,
            loss_batch_mean: 0.36,
            batch_size: 64,
        };
        let manifest = Manifest {
            format: FORMAT,
            id: CheckpointId::generate(),
            model: model.parse().unwrap(),
            created_at: Timestamp::now(),
            after_sequence: None,
            architecture: Architecture {
                input_size: PIXELS,
                hidden: self.layers[..self.layers.len() - 1]
                    .iter()
                    .map(|layer| layer.outputs)
                    .collect(),
                classes,
                activation: Activation::Relu,
            },
            input: self.input,
            labels: (0..classes).map(self.label).collect(),
            picture_normalization: self.normalization,
            temperature: 1.0,
            files: Files {
                model: no_digest.clone(),
                exam: no_digest,
            },
            report: None,
            metrics: Metrics {
                validation: Some(validation),
                ..Metrics::default()
            },
            training: None,
            lineage: Lineage {
                job: Some("job-1".into()),
                step: 4220,
                epoch: 5,
                ..Lineage::default()
            },
        };
        Draft {
            manifest,
            model: encode_model(&self.layers),
            exam: encode_exam(exam, PIXELS, classes),
        }
    }
}

/// Some image with strokes, by number.
pub fn image(number: u64) -> Vec<u8> {
    let mut pixels = vec![0; PIXELS];
    for row in 5..23 {
        let left = 6 + (row * (number as usize + 1)) % 11;
        pixels[row * SIDE + left..row * SIDE + left + 4].copy_from_slice(&[90, 255, 200, 17]);
    }
    pixels
}
