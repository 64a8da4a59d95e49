//! What is to be trained, fully resolved: every field has its value.
//!
//! Checks what only the training can know; the ranges of the fields are the caller's to check.

use super::{Augmentation, Device, FirstWeights, TrainError};
use digits_checkpoint::manifest::{Architecture, InputSpec};
use digits_dataset::{Dataset, LabelledImages};

/// What a raw pixel is divided by, as PyTorch's `ToTensor` does.
pub const PIXEL_SCALE: f32 = 255.0;

/// A training, fully resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The network.
    pub architecture: Architecture,
    /// How a raw image becomes an input.
    pub input: InputSpec,
    /// How the training images are divided.
    pub split: Split,
    /// Seed of the division alone; `None`: `seed`, in one stream with the initial weights.
    pub split_seed: Option<u64>,
    /// Seed of everything random; only the low 32 bits count.
    pub seed: u64,
    /// Words of the generator thrown away between division and initial weights.
    pub generator_skip: u64,
    /// Weights to start from in place of the drawn ones, as `load_state_dict` puts them there.
    pub first_weights: Option<FirstWeights>,
    /// Images per step.
    pub batch_size: usize,
    /// Passes over the training images.
    pub epochs: u32,
    /// How a gradient changes the weights.
    pub optimizer: Optimizer,
    /// How the learning rate goes over the steps.
    pub schedule: Schedule,
    /// A row after the first step of an epoch and every so many steps from there.
    pub validate_every: usize,
    /// Images per batch of validation and test.
    pub evaluation_batch_size: usize,
    /// How the training images are changed at random; `None`: not at all.
    pub augmentation: Option<Augmentation>,
    /// Where the tensors lie.
    pub device: Device,
    /// Precision of the products in the steps; everything else, and evaluation as a whole, is float32.
    pub precision: Precision,
    /// CPU threads that it may compute with; a small network takes one.
    pub threads_at_most: usize,
    /// When a snapshot is handed out.
    pub publish: PublishPolicy,
    /// Terms and tricks against overfitting.
    pub regularization: Regularization,
    /// Rows of the curves without a lower validation loss after which training ends, at least 1; `None`: never.
    /// With it the best weights so far are what is tested and handed out at the end, early or not.
    pub patience_rows: Option<u32>,
    /// Whether a temperature is fitted for every snapshot.
    pub calibrate: bool,
}

/// Terms and tricks against overfitting; 0 is none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regularization {
    /// Share of the target that is spread over all classes, less than 1.
    pub label_smoothing: f64,
    /// Share of hidden units left out at a step, less than 1.
    pub dropout: f64,
    /// Decay of the average of the weights that is evaluated and handed out in their place, less than 1.
    pub ema_decay: f64,
    /// Largest norm of a step's gradient; 0 is no bound.
    pub max_gradient_norm: f64,
}

/// How the training images of a data set are divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    /// By number of images. Where they are fewer than the data set has, the rest is left out.
    Counts {
        /// Images to train on.
        train: usize,
        /// Images to validate on.
        validation: usize,
    },
    /// By share, rounded as torch's `random_split` does.
    Fractions {
        /// Share to train on.
        train: f64,
        /// Share to validate on.
        validation: f64,
    },
}

/// How a gradient changes the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// As `torch.optim.SGD`.
    Sgd {
        /// Step size.
        learning_rate: f64,
        /// Share of the last step's direction that is kept.
        momentum: f64,
        /// Whether to look ahead along that direction.
        nesterov: bool,
        /// L2 penalty.
        weight_decay: f64,
    },
    /// As `torch.optim.AdamW`, but that biases do not decay.
    AdamW {
        /// Step size.
        learning_rate: f64,
        /// Share of the gradient's running mean that is kept.
        beta1: f64,
        /// Share of the running mean of its square that is kept.
        beta2: f64,
        /// Added to the root of that, more than 0.
        epsilon: f64,
        /// Share of the weights, times the step size, that goes at each step.
        weight_decay: f64,
    },
}

impl Optimizer {
    /// Its step size.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        match *self {
            Self::Sgd { learning_rate, .. } | Self::AdamW { learning_rate, .. } => learning_rate,
        }
    }
}

/// How the learning rate goes over the steps; all as factors of the optimiser's rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// The same at every step.
    Constant,
    /// Multiplied by `factor` after every `every_epochs` epochs, as `torch.optim.lr_scheduler.StepLR`.
    Step {
        /// Epochs between two changes.
        every_epochs: u32,
        /// What the rate is multiplied with.
        factor: f64,
    },
    /// Linear warm-up, then half a cosine.
    Cosine {
        /// Share of all steps spent on warming up.
        warmup: f64,
        /// Rate at the end as a share.
        final_factor: f64,
    },
    /// Half a cosine up, half a cosine down, as `torch.optim.lr_scheduler.OneCycleLR`.
    OneCycle {
        /// Share of all steps on the way up.
        up: f64,
        /// Rate at the start as a share.
        initial_factor: f64,
        /// Rate at the end as a share.
        final_factor: f64,
    },
}

/// How the matrix products of a step's passes are computed; their sums are float32 in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As PyTorch computes them.
    Float32,
    /// The matrices are read with 11 significant bits; on a GPU only.
    Tf32,
    /// The matrices are rounded to 8 significant bits.
    Bfloat16,
}

/// When a snapshot is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishPolicy {
    /// After every epoch.
    EveryEpoch,
    /// After an epoch whose validation loss is the lowest so far.
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
    /// Outliers in a batch of that many images.
    pub(super) fn outliers(&self, images: usize) -> usize {
        let augmentation = self.augmentation.as_ref();
        augmentation.map_or(0, |settings| settings.outliers(images))
    }

    /// Checks the plan against the data that it is to be carried out on.
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
        if let Some(first) = &self.first_weights
            && let Some(message) = first.misfits(&self.architecture).into_iter().next()
        {
            return refuse("init_from", message);
        }
        self.check_images("train", &data.train)?;
        self.check_images("test", &data.test)
    }

    fn check_images(&self, part: &str, set: &LabelledImages) -> Result<(), TrainError> {
        let refuse = |message: String| {
            Err(TrainError::Plan {
                field: "data.dataset",
                message,
            })
        };
        let InputSpec { height, width, .. } = self.input;
        let images = &set.images;
        if (images.height, images.width) != (height, width) {
            return refuse(format!(
                "the {part} images are {}×{} pixels, the network takes {height}×{width}",
                images.height, images.width
            ));
        }
        let whole = images.count.checked_mul(height * width) == Some(images.pixels.len());
        if images.count == 0 || !whole || set.labels.len() != images.count {
            return refuse(format!(
                "the {part} part does not hold the images and labels that it claims to"
            ));
        }
        if u32::try_from(images.count).is_err() {
            return refuse(format!("the {part} part has more than 2³² images"));
        }
        let classes = self.architecture.classes;
        match set
            .labels
            .iter()
            .find(|&&label| usize::from(label) >= classes)
        {
            Some(label) => refuse(format!(
                "the {part} part has the label {label}, the network has {classes} classes"
            )),
            None => Ok(()),
        }
    }
}
