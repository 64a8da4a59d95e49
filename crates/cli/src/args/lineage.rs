//! Arguments of the commands that carry checkpoints in, out and through again.

use super::{Activation, Change};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Import {
    /// safetensors file with a PyTorch state dict: float32 pairs NAME.weight and NAME.bias, one for each linear layer,
    /// the names differing in their numbers alone (layers.1, layers.3; 0, 2; fc1, fc2), which give the order.
    pub file: PathBuf,
    /// What stands between the layers.
    #[arg(long, default_value = "relu")]
    pub activation: Activation,
    /// Pixels from top to bottom.
    #[arg(long, default_value_t = 28, value_name = "PIXELS")]
    pub height: u32,
    /// Pixels from left to right.
    #[arg(long, default_value_t = 28, value_name = "PIXELS")]
    pub width: u32,
    /// What a raw pixel is divided by.
    #[arg(long, default_value_t = 255.0, value_name = "NUMBER")]
    pub scale: f32,
    /// Subtracted after that.
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "NUMBER",
        allow_negative_numbers = true
    )]
    pub mean: f32,
    /// Divisor after that.
    #[arg(long, default_value_t = 1.0, value_name = "NUMBER")]
    pub std: f32,
    /// Names of the classes between commas; their numbers where not given.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub labels: Vec<String>,
    /// Which recipe makes a user's picture into an input; mnist for 28 x 28, else none.
    #[arg(long, value_name = "RECIPE")]
    pub pictures: Option<Pictures>,
    /// Divides the logits before the softmax.
    #[arg(long, default_value_t = 1.0, value_name = "NUMBER")]
    pub temperature: f64,
    /// Serve it at once, and hold it there.
    #[arg(long)]
    pub promote: bool,
    /// Id that it gets, a UUIDv7: importing again with it is safe. A new one where it is not given.
    #[arg(long, value_name = "ID")]
    pub checkpoint_id: Option<String>,
    #[command(flatten)]
    pub change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pictures {
    Mnist,
    None,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("format").required(true))]
pub struct Export {
    /// Id of the checkpoint.
    pub checkpoint: String,
    /// An ONNX model: raw pixels in, logits and probabilities out.
    #[arg(long, group = "format")]
    pub onnx: bool,
    /// The weights as they lie on the storage: a PyTorch state dict in safetensors.
    #[arg(long, group = "format")]
    pub safetensors: bool,
    /// File to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Storage to read.
    #[arg(long, env = "DIGITS_STORAGE", value_name = "URL")]
    pub storage: String,
    /// Type of the ONNX model's raw pixels, 0 to 255.
    #[arg(long, default_value = "uint8", value_name = "TYPE", requires = "onnx")]
    pub input: Pixels,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pixels {
    Uint8,
    Float32,
}

#[derive(Debug, Args)]
pub struct Reproduce {
    /// Id of the checkpoint.
    pub checkpoint: String,
    /// Train on this device instead of the one that it was trained on.
    #[arg(long)]
    pub device: Option<String>,
}
