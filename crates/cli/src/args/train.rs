//! Flags of `digits train`.

use super::{
    augmentation::Augmentation,
    values::{Widths, key_value, number_as, single, whole, whole_as, widths},
};
use clap::{Args, ValueEnum};
use digits_proto::v1;

/// Headings of the groups of flags, in the order of the help.
const DATA: &str = "Data";
const NETWORK: &str = "Network";
const OPTIMIZATION: &str = "Optimization";
const REGULARIZATION: &str = "Regularization";
const CHECKPOINTS: &str = "Curves and checkpoints";
const MACHINE: &str = "Machine";

const EXAMPLES: &str = "\
Examples:
  digits train --preset fast --name quick
      A small network on MNIST, in seconds; `digits watch quick` shows it again.
  digits train --dataset letters --model letters --hidden 256,128 --early-stopping 10
      A data set of your own, into a model of its own, until it no longer improves.
  digits train --init-from latest --epochs 2 --learning-rate 0.001 --promotion manual
      Fine-tunes the newest checkpoint; the result is published, and not served.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Train {
    /// Preset: supplies every setting that no flag gives (see `digits presets`).
    #[arg(long, default_value = "notebook")]
    pub preset: String,
    /// Display name of the job, at most 100 characters; not unique.
    #[arg(long)]
    pub name: Option<String>,
    /// Label to filter jobs by; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = key_value)]
    pub labels: Vec<(String, String)>,
    /// Name of the model that the checkpoints belong to; "digits" in all presets.
    #[arg(long)]
    pub model: Option<String>,
    /// Checkpoint whose weights the training starts from (fine-tuning): its id, the start of its
    /// id, the name of its job, or `latest`. Flags of the network that are not given take its
    /// values.
    #[arg(long, value_name = "CHECKPOINT")]
    pub init_from: Option<String>,
    /// Print the job and return, without watching it.
    #[arg(long)]
    pub detach: bool,
    /// Training time after which the job fails.
    #[arg(long, value_name = "SECONDS", value_parser = number_as("of seconds, above 0"))]
    pub deadline: Option<f64>,
    /// Idempotency key: submitting again with the same key makes no second job; random if not
    /// given.
    #[arg(long, value_name = "KEY")]
    pub request_id: Option<String>,

    /// Data set to train on (see `digits dataset list`); NAME@DIGEST for one version of a pushed
    /// data set.
    #[arg(long, help_heading = DATA)]
    pub dataset: Option<String>,
    /// Number of images to train on; needs --validation-count.
    #[arg(
        long, help_heading = DATA, value_name = "IMAGES", requires = "validation_count",
        value_parser = whole_as::<u32>("of images, at least 1")
    )]
    pub train_count: Option<u32>,
    /// Number of images to validate on; needs --train-count.
    #[arg(
        long, help_heading = DATA, value_name = "IMAGES", requires = "train_count",
        value_parser = whole_as::<u32>("of images, at least 1")
    )]
    pub validation_count: Option<u32>,
    /// Training and validation images of the data set `synthetic`, from 1 to 1,000,000.
    #[arg(
        long, help_heading = DATA, value_name = "IMAGES",
        value_parser = whole_as::<u32>("from 1 to 1,000,000")
    )]
    pub synthetic_train: Option<u32>,
    /// Test images of the data set `synthetic`, from 1 to 1,000,000.
    #[arg(
        long, help_heading = DATA, value_name = "IMAGES",
        value_parser = whole_as::<u32>("from 1 to 1,000,000")
    )]
    pub synthetic_test: Option<u32>,
    /// Seed of the data set `synthetic`; the same seed draws the same images.
    #[arg(
        long, help_heading = DATA, value_name = "SEED",
        value_parser = whole::<u64>(0..=u64::MAX)
    )]
    pub synthetic_seed: Option<u64>,

    /// Widths of the hidden layers, such as 128,64; "none" for a linear classifier.
    #[arg(long, help_heading = NETWORK, value_name = "WIDTHS", value_parser = widths)]
    pub hidden: Option<Widths>,
    /// Activation function between the layers.
    #[arg(long, help_heading = NETWORK)]
    pub activation: Option<Activation>,
    /// Slope of a leaky ReLU below 0, from 0 to 1; 0.01 if not given.
    #[arg(
        long, help_heading = NETWORK, value_name = "SLOPE", allow_negative_numbers = true,
        value_parser = single
    )]
    pub negative_slope: Option<f32>,

    /// Passes over the training set, from 1 to 10,000.
    #[arg(long, help_heading = OPTIMIZATION, value_parser = whole::<u32>(1..=10_000))]
    pub epochs: Option<u32>,
    /// Images per training step, from 1 to the size of the training set.
    #[arg(
        long, help_heading = OPTIMIZATION, value_name = "IMAGES",
        value_parser = whole_as::<u32>("from 1 to the size of the training set")
    )]
    pub batch_size: Option<u32>,
    /// Optimizer: stochastic gradient descent, or Adam with decoupled weight decay.
    #[arg(long, help_heading = OPTIMIZATION)]
    pub optimizer: Option<Optimizer>,
    /// Learning rate of the optimizer, more than 0 and at most 100.
    #[arg(
        long, help_heading = OPTIMIZATION, value_name = "RATE", allow_negative_numbers = true,
        value_parser = number_as("above 0 and at most 100")
    )]
    pub learning_rate: Option<f64>,
    /// Momentum of SGD, from 0 to less than 1.
    #[arg(
        long, help_heading = OPTIMIZATION, allow_negative_numbers = true,
        value_parser = number_as("from 0 to less than 1")
    )]
    pub momentum: Option<f64>,
    /// Weight decay of the optimizer, from 0 to 1; 0 for none.
    #[arg(
        long, help_heading = OPTIMIZATION, value_name = "DECAY", allow_negative_numbers = true,
        value_parser = number_as("from 0 to 1")
    )]
    pub weight_decay: Option<f64>,
    /// Learning rate schedule: always the same, multiplied by a factor every few epochs, warm-up
    /// and then a half cosine, or one cycle up and down.
    #[arg(long, help_heading = OPTIMIZATION)]
    pub schedule: Option<Schedule>,
    /// Seed of the split, the initial weights, the order of the images, augmentation and dropout,
    /// from 0 to 4,294,967,295.
    #[arg(
        long, help_heading = OPTIMIZATION,
        value_parser = whole_as::<u64>("from 0 to 4,294,967,295")
    )]
    pub seed: Option<u64>,
    /// Outputs of the random number generator to skip between the split and the initial weights,
    /// at most 1,000,000,000: reproduces a script that draws random numbers there.
    #[arg(
        long, help_heading = OPTIMIZATION, value_name = "WORDS",
        value_parser = whole_as::<u64>("from 0 to 1,000,000,000")
    )]
    pub generator_skip: Option<u64>,

    /// Dropout: fraction of the hidden units that are dropped in a step, from 0 to less than 1; 0
    /// for none.
    #[arg(
        long, help_heading = REGULARIZATION, value_name = "SHARE", allow_negative_numbers = true,
        value_parser = number_as("from 0 to less than 1")
    )]
    pub dropout: Option<f64>,
    /// Label smoothing: fraction of the target that is spread over all classes, from 0 to less than
    /// 1; 0 for none.
    #[arg(
        long, help_heading = REGULARIZATION, value_name = "SHARE", allow_negative_numbers = true,
        value_parser = number_as("from 0 to less than 1")
    )]
    pub label_smoothing: Option<f64>,
    /// Decay of the exponential moving average of the weights, from 0 to less than 1; the averaged
    /// weights are published instead of the final ones; 0 for none.
    #[arg(
        long, help_heading = REGULARIZATION, value_name = "DECAY", allow_negative_numbers = true,
        value_parser = number_as("from 0 to less than 1")
    )]
    pub ema_decay: Option<f64>,
    /// Gradient clipping: maximum norm of the gradient of a step; 0 for no limit.
    #[arg(
        long, help_heading = REGULARIZATION, value_name = "NORM", allow_negative_numbers = true,
        value_parser = number_as("above 0, or 0 for no limit")
    )]
    pub clip_norm: Option<f64>,
    /// Early stopping: end after this many consecutive rows of the curves without a new lowest
    /// validation loss, and publish the best weights.
    #[arg(
        long, help_heading = REGULARIZATION, value_name = "ROWS",
        value_parser = whole_as::<u32>("of rows, at least 1")
    )]
    pub early_stopping: Option<u32>,

    /// Training steps between two rows of the curves.
    #[arg(
        long, help_heading = CHECKPOINTS, value_name = "STEPS",
        value_parser = whole_as::<u32>("of steps, at least 1")
    )]
    pub validate_every: Option<u32>,
    /// Which checkpoints are published.
    #[arg(long, help_heading = CHECKPOINTS)]
    pub publish: Option<Publish>,
    /// Which published checkpoints are served.
    #[arg(long, help_heading = CHECKPOINTS)]
    pub promotion: Option<Promotion>,
    /// Fit a temperature on the validation set, so that probabilities are calibrated.
    #[arg(long, help_heading = CHECKPOINTS, overrides_with = "no_calibrate")]
    pub calibrate: bool,
    /// Fit no temperature: publish the network's probabilities unchanged.
    #[arg(long, help_heading = CHECKPOINTS)]
    pub no_calibrate: bool,
    /// Add a report card to the last checkpoint (see `digits report`).
    #[arg(long, help_heading = CHECKPOINTS)]
    pub report: bool,

    /// Device to train on: auto, cpu, cuda or cuda:N.
    #[arg(long, help_heading = MACHINE)]
    pub device: Option<String>,
    /// Precision of the matrix products in training steps; tf32 needs a GPU.
    #[arg(long, help_heading = MACHINE)]
    pub precision: Option<Precision>,
    // Last, for its heading is that of every flag that follows.
    #[command(flatten)]
    pub augmentation: Augmentation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Optimizer {
    Sgd,
    Adamw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Schedule {
    Constant,
    Step,
    Cosine,
    OneCycle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Activation {
    Relu,
    ScaledTanh,
    Gelu,
    Tanh,
    Sigmoid,
    LeakyRelu,
}

impl From<Activation> for v1::Activation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Relu => Self::Relu,
            Activation::ScaledTanh => Self::ScaledTanh,
            Activation::Gelu => Self::Gelu,
            Activation::Tanh => Self::Tanh,
            Activation::Sigmoid => Self::Sigmoid,
            Activation::LeakyRelu => Self::LeakyRelu,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Publish {
    EveryEpoch,
    Best,
    Final,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Promotion {
    Latest,
    IfBetter,
    Manual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    Float32,
    Tf32,
    Bfloat16,
}
