//! Arguments of `digits train`.

use super::{Augmentation, key_value};
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct Train {
    /// Preset that fills what is not given (see `digits presets`).
    #[arg(long, default_value = "notebook")]
    pub preset: String,
    /// A word for people.
    #[arg(long)]
    pub name: Option<String>,
    /// Label to filter by; may be given several times.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = key_value)]
    pub labels: Vec<(String, String)>,
    /// Name of the model that the checkpoints are for.
    #[arg(long)]
    pub model: Option<String>,
    /// Data set to train on (see `digits dataset list`); NAME@DIGEST for one content of a pushed one.
    #[arg(long)]
    pub dataset: Option<String>,
    /// Passes over the training set.
    #[arg(long)]
    pub epochs: Option<u32>,
    /// Images per step.
    #[arg(long)]
    pub batch_size: Option<u32>,
    /// Optimiser; where it is not given, the preset's.
    #[arg(long)]
    pub optimizer: Option<Optimizer>,
    #[arg(long, allow_negative_numbers = true)]
    pub learning_rate: Option<f64>,
    /// Momentum of SGD.
    #[arg(long, allow_negative_numbers = true)]
    pub momentum: Option<f64>,
    #[arg(long, allow_negative_numbers = true)]
    pub weight_decay: Option<f64>,
    /// How the learning rate goes over the steps, with the server's defaults.
    #[arg(long)]
    pub schedule: Option<Schedule>,
    /// Share of hidden units left out at a step; 0 for none.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub dropout: Option<f64>,
    /// Share of the target spread over all classes; 0 for none.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub label_smoothing: Option<f64>,
    /// Decay of the average of the weights that is published in their place; 0 for none.
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    pub ema_decay: Option<f64>,
    /// Largest norm of a step's gradient; 0 for no bound.
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    pub clip_norm: Option<f64>,
    /// End after so many rows of the curves without a lower validation loss, with the best weights.
    #[arg(long, value_name = "ROWS")]
    pub early_stopping: Option<u32>,
    /// Fit a temperature on the validation set, so that probabilities mean what they say.
    #[arg(long, overrides_with = "no_calibrate")]
    pub calibrate: bool,
    /// Publish the probabilities as the network gives them.
    #[arg(long)]
    pub no_calibrate: bool,
    /// Widths of the hidden layers, such as 128,64; "none" for a linear classifier.
    #[arg(long, value_name = "WIDTHS", value_parser = widths)]
    pub hidden: Option<Widths>,
    /// What stands between the layers.
    #[arg(long)]
    pub activation: Option<Activation>,
    /// Seed of split, initial weights and order.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Words of the generator to throw away after the split.
    #[arg(long, value_name = "WORDS")]
    pub generator_skip: Option<u64>,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long)]
    pub device: Option<String>,
    /// Precision of the matrix products in the steps; tf32 is for a GPU only.
    #[arg(long)]
    pub precision: Option<Precision>,
    /// Images to train on.
    #[arg(long, value_name = "IMAGES", requires = "validation_count")]
    pub train_count: Option<u32>,
    /// Images to validate on.
    #[arg(long, value_name = "IMAGES", requires = "train_count")]
    pub validation_count: Option<u32>,
    /// Steps between two rows of the curves.
    #[arg(long, value_name = "STEPS")]
    pub validate_every: Option<u32>,
    /// Which checkpoints are published.
    #[arg(long)]
    pub publish: Option<Publish>,
    /// Which published checkpoints are served.
    #[arg(long)]
    pub promotion: Option<Promotion>,
    /// Make a report card of the last checkpoint, see `digits report`.
    #[arg(long)]
    pub report: bool,
    /// Checkpoint to start from.
    #[arg(long, value_name = "CHECKPOINT")]
    pub init_from: Option<String>,
    /// Training time after which the job fails.
    #[arg(long, value_name = "SECONDS")]
    pub deadline: Option<f64>,
    /// Training and validation images of the synthetic data set.
    #[arg(long, value_name = "IMAGES")]
    pub synthetic_train: Option<u32>,
    /// Test images of the synthetic data set.
    #[arg(long, value_name = "IMAGES")]
    pub synthetic_test: Option<u32>,
    /// Seed of the synthetic data set.
    #[arg(long, value_name = "SEED")]
    pub synthetic_seed: Option<u64>,
    #[command(flatten)]
    pub augmentation: Augmentation,
    /// Do not watch: print the job and return.
    #[arg(long)]
    pub detach: bool,
    /// Idempotency key; a random one where it is not given.
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
}

/// Widths of hidden layers; none for a linear classifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widths(pub Vec<u32>);

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

fn widths(text: &str) -> Result<Widths, String> {
    if text.is_empty() || text == "none" {
        return Ok(Widths(Vec::new()));
    }
    let widths = text.split(',').map(|width| width.trim().parse::<u32>());
    let widths: Result<Vec<u32>, _> = widths.collect();
    widths
        .map(Widths)
        .map_err(|_| "write whole numbers between commas, such as 128,64".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_widths() {
        assert_eq!(widths("128, 64"), Ok(Widths(vec![128, 64])));
        assert_eq!(widths("none"), Ok(Widths(vec![])));
        for bad in ["128,", "-1", "a"] {
            assert!(widths(bad).is_err(), "{bad}");
        }
    }
}
