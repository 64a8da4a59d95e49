//! Flags of `digits train`.

use super::{
    augmentation::Augmentation,
    values::{Widths, key_value, number, whole, widths},
};
use clap::{Args, ValueEnum};
use digits_proto::v1;

#[derive(Debug, Args)]
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
    /// Name of the model that the checkpoints belong to.
    #[arg(long)]
    pub model: Option<String>,
    /// Data set to train on (see `digits dataset list`); NAME@DIGEST for one version of a pushed
    /// data set.
    #[arg(long)]
    pub dataset: Option<String>,
    /// Passes over the training set, from 1 to 10,000.
    #[arg(long, value_parser = whole::<u32>(1..=10_000))]
    pub epochs: Option<u32>,
    /// Images per training step.
    #[arg(long, value_parser = whole::<u32>(0..=u64::from(u32::MAX)))]
    pub batch_size: Option<u32>,
    /// Optimizer; the preset's if not given.
    #[arg(long)]
    pub optimizer: Option<Optimizer>,
    /// Learning rate of the optimizer.
    #[arg(long, allow_negative_numbers = true, value_parser = number)]
    pub learning_rate: Option<f64>,
    /// Momentum of SGD.
    #[arg(long, allow_negative_numbers = true, value_parser = number)]
    pub momentum: Option<f64>,
    /// Weight decay of the optimizer.
    #[arg(long, allow_negative_numbers = true, value_parser = number)]
    pub weight_decay: Option<f64>,
    /// Learning rate schedule, with the defaults of the trainer.
    #[arg(long)]
    pub schedule: Option<Schedule>,
    /// Dropout: fraction of the hidden units that are dropped in a step; 0 for none.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = number)]
    pub dropout: Option<f64>,
    /// Label smoothing: fraction of the target that is spread over all classes; 0 for none.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = number)]
    pub label_smoothing: Option<f64>,
    /// Decay of the exponential moving average of the weights; the averaged weights are published
    /// instead of the final ones; 0 for none.
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true, value_parser = number)]
    pub ema_decay: Option<f64>,
    /// Gradient clipping: maximum norm of the gradient of a step; 0 for no limit.
    #[arg(long, value_name = "NORM", allow_negative_numbers = true, value_parser = number)]
    pub clip_norm: Option<f64>,
    /// Early stopping: end after this many consecutive rows of the curves without a new lowest
    /// validation loss, and publish the best weights.
    #[arg(long, value_name = "ROWS", value_parser = whole::<u32>(0..=u64::from(u32::MAX)))]
    pub early_stopping: Option<u32>,
    /// Fit a temperature on the validation set, so that probabilities are calibrated.
    #[arg(long, overrides_with = "no_calibrate")]
    pub calibrate: bool,
    /// Fit no temperature: publish the network's probabilities unchanged.
    #[arg(long)]
    pub no_calibrate: bool,
    /// Widths of the hidden layers, such as 128,64; "none" for a linear classifier.
    #[arg(long, value_name = "WIDTHS", value_parser = widths)]
    pub hidden: Option<Widths>,
    /// Activation function between the layers.
    #[arg(long)]
    pub activation: Option<Activation>,
    /// Seed of the split, the initial weights and the order of the images.
    #[arg(long, value_parser = whole::<u64>(0..=u64::MAX))]
    pub seed: Option<u64>,
    /// Outputs of the random number generator to skip between the split and the initial weights.
    #[arg(long, value_name = "WORDS", value_parser = whole::<u64>(0..=u64::MAX))]
    pub generator_skip: Option<u64>,
    /// Device to train on: auto, cpu, cuda or cuda:N.
    #[arg(long)]
    pub device: Option<String>,
    /// Precision of the matrix products in training steps; tf32 needs a GPU.
    #[arg(long)]
    pub precision: Option<Precision>,
    /// Number of images to train on.
    #[arg(long, value_name = "IMAGES", requires = "validation_count", value_parser = whole::<u32>(0..=u64::from(u32::MAX)))]
    pub train_count: Option<u32>,
    /// Number of images to validate on.
    #[arg(long, value_name = "IMAGES", requires = "train_count", value_parser = whole::<u32>(0..=u64::from(u32::MAX)))]
    pub validation_count: Option<u32>,
    /// Training steps between two rows of the curves.
    #[arg(long, value_name = "STEPS", value_parser = whole::<u32>(0..=u64::from(u32::MAX)))]
    pub validate_every: Option<u32>,
    /// Which checkpoints are published.
    #[arg(long)]
    pub publish: Option<Publish>,
    /// Which published checkpoints are served.
    #[arg(long)]
    pub promotion: Option<Promotion>,
    /// Add a report card to the last checkpoint (see `digits report`).
    #[arg(long)]
    pub report: bool,
    /// Id of the checkpoint whose weights the training starts from (fine-tuning).
    #[arg(long, value_name = "CHECKPOINT")]
    pub init_from: Option<String>,
    /// Training time after which the job fails.
    #[arg(long, value_name = "SECONDS", value_parser = number)]
    pub deadline: Option<f64>,
    /// Training and validation images of the synthetic data set.
    #[arg(long, value_name = "IMAGES", value_parser = whole::<u32>(0..=u64::from(u32::MAX)))]
    pub synthetic_train: Option<u32>,
    /// Test images of the synthetic data set.
    #[arg(long, value_name = "IMAGES", value_parser = whole::<u32>(0..=u64::from(u32::MAX)))]
    pub synthetic_test: Option<u32>,
    /// Seed of the synthetic data set.
    #[arg(long, value_name = "SEED", value_parser = whole::<u64>(0..=u64::MAX))]
    pub synthetic_seed: Option<u64>,
    /// Print the job and return, without watching it.
    #[arg(long)]
    pub detach: bool,
    /// Idempotency key: submitting again with the same id makes no second job; random if not given.
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
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
}

impl From<Activation> for v1::Activation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Relu => Self::Relu,
            Activation::ScaledTanh => Self::ScaledTanh,
            Activation::Gelu => Self::Gelu,
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
