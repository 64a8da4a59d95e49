//! The manifest of a committed checkpoint: `checkpoints/<id>/manifest.json`.
//!
//! A reader accepts unknown fields, so that a newer writer can add some, and refuses an unknown
//! `format`.

use crate::id::{CheckpointId, ModelName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod report;

pub use report::{
    Calibration, CorruptionError, CoverageError, HardImage, Report, StyleError, report_limits,
};

/// The format that this program writes.
pub const FORMAT: u32 = 1;

/// Whether `text` is a SHA-256 in lower-case hexadecimal.
pub(crate) fn is_sha256(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 64 && text.bytes().all(hex)
}

/// Reads `format` alone: the rest of an unknown format may be anything.
///
/// # Errors
/// When the bytes are no JSON object with a number `format`.
pub fn read_format(bytes: &[u8]) -> serde_json::Result<u64> {
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    serde_json::from_slice(bytes).map(|Format { format }| format)
}

/// `checkpoints/<id>/manifest.json`. Written last: its existence is the commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout, [`FORMAT`].
    pub format: u32,
    /// The checkpoint's id, as in its path.
    pub id: CheckpointId,
    /// The model it is for.
    pub model: ModelName,
    /// When it was committed.
    pub created_at: Timestamp,
    /// Newest serving record of the model when it was published, 0 for none: whether a checkpoint is
    /// newer than another follows from it, whatever the clocks. `None` in manifests that are older
    /// than this field; [`publish`](crate::publish) sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_sequence: Option<u64>,
    /// The network.
    pub architecture: Architecture,
    /// Shape of a raw image, and the scaling of its pixels.
    pub input: InputSpec,
    /// Names of the classes, by index; as many as the architecture has classes, all different.
    pub labels: Vec<String>,
    /// Normalization of a user's picture to an input.
    pub picture_normalization: PictureNormalization,
    /// Logits are divided by it before the softmax; more than 0 and at most 100, 1 leaves them.
    pub temperature: f64,
    /// The other two files.
    pub files: Files,
    /// Evaluations of the weights.
    pub metrics: Metrics,
    /// The report card, if the job requested one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Box<Report>>,
    /// Statistics of the training set; `None` for an import, and in manifests that are older than
    /// this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingSet>,
    /// Its provenance.
    pub lineage: Lineage,
}

/// A multi-layer perceptron: flatten, then linear layers with an activation between them.
///
/// The tensors of `model.safetensors` are, for layer k from 0, `layers.<2k+1>.weight` of shape
/// [out, in] and `layers.<2k+1>.bias` of shape `[out]`, float32: the names of a PyTorch
/// `ModuleList` [Flatten, Linear, activation, Linear, …].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Values of an input: height × width.
    pub input_size: usize,
    /// Units of each hidden layer, from the input on.
    pub hidden: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
    /// Activation between the layers.
    #[serde(flatten)]
    pub activation: Activation,
}

/// A function between two linear layers, as `activation` in an [`Architecture`]; a leaky ReLU has
/// `negative_slope` beside it. A program that does not know an activation refuses the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "activation", rename_all = "snake_case")]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// 1.7159 tanh(2x/3) (LeCun 1998).
    ScaledTanh,
    /// x Φ(x), exact.
    Gelu,
    /// tanh(x).
    Tanh,
    /// 1 / (1 + exp(−x)).
    Sigmoid,
    /// x where x > 0, else `negative_slope` x.
    LeakyRelu {
        /// Slope below 0, from 0 to 1.
        negative_slope: f32,
    },
}

impl Activation {
    /// Slope of PyTorch's `LeakyReLU` where none is given.
    pub const NEGATIVE_SLOPE: f32 = 0.01;
}

/// The raw input: u8 grey pixels; x becomes (x / scale − mean) / std, in float32 and in this order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// Divisor of the raw pixel; 255 for PyTorch's `ToTensor`.
    pub scale: f32,
    /// Subtracted after scaling.
    pub mean: f32,
    /// Divisor after that; more than 0.
    pub std: f32,
}

/// Normalization of a picture to an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureNormalization {
    /// Only scaled to the size.
    None,
    /// MNIST's recipe.
    Mnist,
}

/// Digests of the other two files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// `model.safetensors`: a pure state dict.
    pub model: FileDigest,
    /// `exam.safetensors`: `inputs` (u8, [n, height × width]) and the `logits` (float32, [n,
    /// classes]) that libtorch gave for them on the CPU; what a user gets for them, `probabilities`
    /// (float32, [n, classes]), and the `labels` (u8, a JSON array of their names).
    pub exam: FileDigest,
}

/// Size and digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// SHA-256, in lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size_bytes: u64,
}

/// Evaluations of the weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// On the validation set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Evaluation>,
    /// On the test set; of an import, on that of the data set in its lineage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Evaluation>,
    /// Mean cross-entropy of the last training batch before the checkpoint, in nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_loss: Option<f64>,
    /// Effect of the temperature; `None` if none was fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<TemperatureFit>,
}

/// Effect of dividing the logits by [`Manifest::temperature`]. Losses of [`Evaluation`] are without
/// the temperature; these are those of the served probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemperatureFit {
    /// Validation images that the temperature was fitted on.
    pub images: u64,
    /// Bins of equal width that the errors are of.
    pub bins: u32,
    /// Mean cross-entropy over these images without the temperature, in nats.
    pub loss_before: f64,
    /// The same with it.
    pub loss: f64,
    /// Expected calibration error over these images without the temperature, from 0 to 1 (Guo et
    /// al. 2017).
    pub error_before: f64,
    /// The same with it.
    pub error: f64,
    /// Mean cross-entropy over the test images with the temperature, in nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_loss: Option<f64>,
}

/// Evaluation of a network on a set of images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Images.
    pub images: u64,
    /// Images whose most probable label was correct.
    pub correct: u64,
    /// Mean cross-entropy over images, in nats.
    pub loss: f64,
    /// Mean over batches of each batch's mean cross-entropy, in nats.
    pub loss_batch_mean: f64,
    /// Images per batch of that mean.
    pub batch_size: u32,
}

impl Evaluation {
    /// correct / images, from 0 to 1.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        if self.images == 0 {
            0.0
        } else {
            self.correct as f64 / self.images as f64
        }
    }
}

/// Statistics of the training part of the split, for comparison with served requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingSet {
    /// Images of each label, by index; as many as the architecture has classes.
    pub label_counts: Vec<u64>,
    /// Mean of all raw pixels, as a share of 255: 0.1307 for MNIST.
    pub mean_ink: f64,
}

/// Provenance of a checkpoint: enough to reproduce it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// The job that made it; `None` for an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The resolved job spec, for people: the fields of `digits.v1.JobSpec` by name.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub spec: Value,
    /// The same spec as protocol-buffer bytes in hexadecimal, which programs read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub spec_protobuf: String,
    /// Seed of the job.
    pub seed: u64,
    /// Epoch after which the weights were taken.
    pub epoch: u32,
    /// Steps that had been made.
    pub step: u64,
    /// The checkpoint that training started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CheckpointId>,
    /// Name of the data set; of an import, of the one that its test result is on, empty without.
    pub dataset: String,
    /// SHA-256 over the data set's files, in hexadecimal.
    pub dataset_digest: String,
    /// SHA-256 over the image numbers of the split, in hexadecimal: equal data set and equal split
    /// digest make two validation figures comparable.
    pub split_digest: String,
    /// Version of the program.
    pub program_version: String,
    /// Version of libtorch.
    pub libtorch_version: String,
    /// Device that trained it: `cpu` or `cuda:N`.
    pub device: String,
    /// Threads that libtorch computed with; on the CPU the last bits of the weights depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// SHA-256 of the file that was imported, in hexadecimal; `None` where a job made the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_sha256: Option<String>,
}
