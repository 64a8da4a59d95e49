//! Flags of `digits import`, `export` and `reproduce`.

use super::{
    serving::Change,
    train::Activation,
    values::{number, single, whole},
};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Import {
    /// safetensors file with a PyTorch state dict: NAME.weight and, if there is a bias, NAME.bias of
    /// each linear layer. Numbers in the names (layers.1, layers.3; fc1, fc2) give the order, else
    /// the shapes do (hidden, output). BatchNorm1d is folded into the linear layers.
    pub file: PathBuf,
    /// Activation function between the layers.
    #[arg(long, default_value = "relu")]
    pub activation: Activation,
    /// Slope of a leaky ReLU below 0; 0.01 if not given.
    #[arg(long, value_name = "SLOPE", allow_negative_numbers = true, value_parser = single)]
    pub negative_slope: Option<f32>,
    /// Height of an input image, in pixels.
    #[arg(long, default_value_t = 28, value_name = "PIXELS", value_parser = whole::<u32>(0..=u64::from(u32::MAX)))]
    pub height: u32,
    /// Width of an input image, in pixels.
    #[arg(long, default_value_t = 28, value_name = "PIXELS", value_parser = whole::<u32>(0..=u64::from(u32::MAX)))]
    pub width: u32,
    /// Divisor of raw pixels.
    #[arg(long, default_value_t = 255.0, value_name = "NUMBER", value_parser = single)]
    pub scale: f32,
    /// Mean that is subtracted from pixels after division by --scale.
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "NUMBER",
        allow_negative_numbers = true, value_parser = single)]
    pub mean: f32,
    /// Standard deviation that pixels are divided by after --mean is subtracted.
    #[arg(long, default_value_t = 1.0, value_name = "NUMBER", value_parser = single)]
    pub std: f32,
    /// Names of the classes, with commas between them; their numbers if not given.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub labels: Vec<String>,
    /// How a user's picture is normalized to an input; by default mnist for inputs of 28 x 28, else
    /// none.
    #[arg(long, value_name = "RECIPE")]
    pub pictures: Option<Pictures>,
    /// Divisor of the logits before the softmax.
    #[arg(long, default_value_t = 1.0, value_name = "NUMBER", value_parser = number)]
    pub temperature: f64,
    /// Side of the activation on which BatchNorm1d stands; by default as the numbers in the names
    /// give it, else before.
    #[arg(long, value_name = "SIDE")]
    pub batch_norm: Option<BatchNorm>,
    /// Number that BatchNorm1d adds to the variance. PyTorch's default is 1e-5, that of Keras 1e-3.
    #[arg(long, default_value_t = 1e-5, value_name = "NUMBER", value_parser = number)]
    pub batch_norm_eps: f64,
    /// Data set on whose test images the network is measured; by default that of the served
    /// checkpoint, else one of its shape.
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,
    /// Serve the checkpoint at once, and pause automatic promotion. Refused if its accuracy is more
    /// than 2 points below that of what serves, measured on the same images.
    #[arg(long)]
    pub promote: bool,
    /// With --promote: serve it whatever its accuracy is.
    #[arg(long, requires = "promote")]
    pub force: bool,
    /// Id of the new checkpoint, a UUIDv7; give the same id to retry an import safely; generated if
    /// not given.
    #[arg(long, value_name = "ID")]
    pub checkpoint_id: Option<String>,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BatchNorm {
    /// Linear, batch normalization, activation.
    Before,
    /// Linear, activation, batch normalization.
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pictures {
    Mnist,
    None,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("format").required(true))]
pub struct Export {
    /// Checkpoint: its id, the start of its id, the name of its job, or `latest`; with --tensorboard a
    /// job.
    pub checkpoint: String,
    /// Write an ONNX model: raw pixels in, logits and probabilities out.
    #[arg(long, group = "format")]
    pub onnx: bool,
    /// Write the weights unchanged: a PyTorch state dict in safetensors.
    #[arg(long, group = "format")]
    pub safetensors: bool,
    /// Write a folder for the Hugging Face hub, which must be absent or empty: model card, weights,
    /// config.json, an ONNX model, and a loader for PyTorch.
    #[arg(
        long,
        value_name = "FOLDER",
        group = "format",
        conflicts_with = "output"
    )]
    pub hub: Option<PathBuf>,
    /// Write the curves, hyperparameters, weights and report card of a job for TensorBoard, as a run of
    /// its own below this folder. Without --storage there are no histograms and no report card.
    #[arg(
        long,
        value_name = "FOLDER",
        group = "format",
        conflicts_with = "output"
    )]
    pub tensorboard: Option<PathBuf>,
    /// File to write.
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["hub", "tensorboard"])]
    pub output: Option<PathBuf>,
    /// The shared storage to read the checkpoint from.
    #[arg(
        long,
        env = "DIGITS_STORAGE",
        value_name = "URL",
        required_unless_present = "tensorboard"
    )]
    pub storage: Option<String>,
    /// Type of the ONNX model's raw pixels, 0 to 255.
    #[arg(long, default_value = "uint8", value_name = "TYPE", requires = "onnx")]
    pub input: Pixels,
}

#[derive(Debug, Args)]
pub struct Card {
    /// Checkpoint: its id, the start of its id, the name of its job, or `latest`.
    pub checkpoint: String,
    /// File to write, in place of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The shared storage to read the checkpoint from.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pixels {
    Uint8,
    Float32,
}

#[derive(Debug, Args)]
pub struct Reproduce {
    /// Checkpoint: its id, the start of its id, the name of its job, or `latest`.
    pub checkpoint: String,
    /// Device to train on; by default that of the original training.
    #[arg(long)]
    pub device: Option<String>,
}
