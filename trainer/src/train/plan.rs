//! The plan of a training: every option with its value.
//!
//! Checks a plan against its data set. The caller checks the ranges of the fields.

use super::augment::Replaced;
use super::{Augmentation, Device, InitialWeights, TrainError};
use digits_checkpoint::manifest::{Architecture, InputSpec};
use digits_dataset::{Dataset, LabelledImages};

/// Divisor of a raw pixel, as of `torchvision.transforms.ToTensor`.
pub const PIXEL_SCALE: f32 = 255.0;

/// A training with all of its options.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The network.
    pub architecture: Architecture,
    /// Scaling of raw pixels to an input.
    pub input: InputSpec,
    /// Split of the training images.
    pub split: Split,
    /// Seed of the split alone; `None`: drawn from the stream of `seed`, before the initial
    /// weights.
    pub split_seed: Option<u64>,
    /// Seed of all random numbers; only the low 32 bits count.
    pub seed: u64,
    /// Words of the generator that are discarded between split and initial weights.
    pub generator_skip: u64,
    /// Initial weights in place of the drawn ones, as after `load_state_dict`.
    pub initial_weights: Option<InitialWeights>,
    /// Images per step.
    pub batch_size: usize,
    /// Passes over the training images.
    pub epochs: u32,
    /// Optimizer.
    pub optimizer: Optimizer,
    /// Learning rate schedule.
    pub schedule: Schedule,
    /// Steps between two rows of the curves, counted from the first step of each epoch.
    pub validate_every: usize,
    /// Images per batch of validation and test.
    pub evaluation_batch_size: usize,
    /// Random changes of the training images.
    pub augmentation: Option<Augmentation>,
    /// Device of the tensors.
    pub device: Device,
    /// Precision of the matrix products of a step; everything else, and all of evaluation, is
    /// float32.
    pub precision: Precision,
    /// Largest number of CPU threads; a small network uses one.
    pub max_threads: usize,
    /// When a snapshot is published.
    pub publish: PublishPolicy,
    /// Hyperparameters and tricks against overfitting.
    pub regularization: Regularization,
    /// Early stopping: rows of the curves without a lower validation loss after which training
    /// ends, at least 1. With it, the best weights are tested and published at the end.
    pub patience_rows: Option<u32>,
    /// Whether a temperature is fitted for each snapshot.
    pub calibrate: bool,
}

/// Hyperparameters and tricks against overfitting; 0 is none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regularization {
    /// Share of the target that is uniform over all classes, less than 1.
    pub label_smoothing: f64,
    /// Share of hidden units that a step drops, less than 1.
    pub dropout: f64,
    /// Decay of the moving average of the weights that is evaluated and published in their place,
    /// less than 1.
    pub ema_decay: f64,
    /// Largest norm of the gradient.
    pub max_gradient_norm: f64,
}

/// Split of a data set's training images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    /// By number of images; further images are not used.
    Counts {
        /// Images to train on.
        train: usize,
        /// Images to validate on.
        validation: usize,
    },
    /// By share, rounded as `torch.utils.data.random_split` does.
    Fractions {
        /// Share to train on.
        train: f64,
        /// Share to validate on.
        validation: f64,
    },
}

/// Optimizer with its hyperparameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// As `torch.optim.SGD`.
    Sgd(SgdOptions),
    /// As `torch.optim.AdamW`, without weight decay of the biases.
    AdamW(AdamWOptions),
}

/// Hyperparameters of `torch.optim.SGD`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdOptions {
    /// Learning rate.
    pub learning_rate: f64,
    /// Momentum.
    pub momentum: f64,
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
    /// L2 penalty.
    pub weight_decay: f64,
}

/// Hyperparameters of `torch.optim.AdamW`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWOptions {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment, more than 0.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl Optimizer {
    /// Its learning rate.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd(options) => options.learning_rate,
            Self::AdamW(options) => options.learning_rate,
        }
    }
}

/// Learning rate schedule, in factors of the optimizer's rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// Constant.
    Constant,
    /// Multiplied by `factor` after every `every_epochs` epochs, as
    /// `torch.optim.lr_scheduler.StepLR`.
    Step {
        /// Epochs between two changes.
        every_epochs: u32,
        /// Factor of each change.
        factor: f64,
    },
    /// Linear warm-up, then cosine decay.
    Cosine {
        /// Share of the steps for the warm-up.
        warmup: f64,
        /// Factor at the end.
        final_factor: f64,
    },
    /// Cosine up, cosine down, as `torch.optim.lr_scheduler.OneCycleLR`.
    OneCycle {
        /// Share of the steps on the way up.
        up: f64,
        /// Factor at the start.
        initial_factor: f64,
        /// Factor at the end.
        final_factor: f64,
    },
}

/// Precision of the operands of matrix products; sums are always float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Float32, as PyTorch.
    Float32,
    /// 11 significant bits; on a GPU only.
    Tf32,
    /// 8 significant bits.
    Bfloat16,
}

/// When a snapshot is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishPolicy {
    /// After every epoch.
    EveryEpoch,
    /// After each epoch with the lowest validation loss so far.
    Best,
    /// After the last epoch.
    Final,
}

/// Steps of an epoch over `train_images` images; the last batch may be short.
#[must_use]
pub fn steps_per_epoch(train_images: usize, batch_size: usize) -> u64 {
    train_images.div_ceil(batch_size.max(1)) as u64
}

impl Plan {
    /// The images of a batch of `images` that drawn ones replace.
    pub(super) fn replaced(&self, images: usize) -> Replaced {
        let augmentation = self.augmentation.as_ref();
        augmentation.map_or_else(Replaced::default, |settings| settings.replaced(images))
    }

    /// Checks the plan against its data set.
    pub(super) fn check(&self, data: &Dataset) -> Result<(), TrainError> {
        let refuse = |field, message: String| Err(TrainError::Plan { field, message });
        for (field, value) in [
            ("batch_size", self.batch_size),
            ("epochs", self.epochs as usize),
            ("evaluation.every_steps", self.validate_every),
            ("evaluation.batch_size", self.evaluation_batch_size),
        ] {
            if value == 0 {
                return refuse(field, "must be at least 1".to_owned());
            }
        }
        if self.patience_rows == Some(0) {
            return refuse(
                "early_stopping.patience_rows",
                "must be at least 1".to_owned(),
            );
        }
        if self.precision == Precision::Tf32 && self.device == Device::Cpu {
            return refuse(
                "precision",
                "is TF32, which a GPU computes, and the training is on the CPU: use FLOAT32 or BFLOAT16".to_owned(),
            );
        }
        let widths = &self.architecture.hidden;
        if widths.contains(&0) || self.architecture.classes == 0 {
            return refuse(
                "architecture",
                "every layer needs at least one unit".to_owned(),
            );
        }
        let InputSpec { height, width, .. } = self.input;
        if self.architecture.input_size != height * width || height * width == 0 {
            return refuse(
                "architecture",
                format!(
                    "{} inputs do not fit images of {height}×{width}",
                    self.architecture.input_size
                ),
            );
        }
        if let Some(first) = &self.initial_weights
            && let Some(message) = first.misfits(&self.architecture).into_iter().next()
        {
            return refuse("init_from", message);
        }
        let classes = self.architecture.classes;
        check_images("train", &data.train, &self.input, classes)?;
        check_images("test", &data.test, &self.input, classes)
    }
}

/// Checks that a part of a data set is intact and fits the network.
pub(super) fn check_images(
    part: &str,
    set: &LabelledImages,
    input: &InputSpec,
    classes: usize,
) -> Result<(), TrainError> {
    let refuse = |message: String| {
        Err(TrainError::Plan {
            field: "data.dataset",
            message,
        })
    };
    let images = &set.images;
    if (images.height, images.width) != (input.height, input.width) {
        return refuse(format!(
            "the {part} images are {}×{} pixels, the network takes {}×{}",
            images.height, images.width, input.height, input.width
        ));
    }
    let whole = images.count.checked_mul(images.image_size()) == Some(images.pixels.len());
    if images.count == 0 || !whole || set.labels.len() != images.count {
        return refuse(format!(
            "the {part} part does not hold the images and labels that it claims to"
        ));
    }
    if u32::try_from(images.count).is_err() {
        return refuse(format!("the {part} part has more than 2³² images"));
    }
    match set.labels.iter().find(|&&it| usize::from(it) >= classes) {
        Some(label) => refuse(format!(
            "the {part} part has the label {label}, the network has {classes} classes"
        )),
        None => Ok(()),
    }
}
