//! The domain form of a job spec, field by field, and the merge of a preset into it
//! (`JobRequest::or`).
//!
//! `None` is a field that the client left unset. [`super::resolve`] sets every field that has a
//! default.

use crate::train::{Precision, PublishPolicy, Split};
use digits_checkpoint::{id::CheckpointId, manifest::Activation, serving::Policy};
use std::{collections::BTreeMap, time::Duration};

/// A value that this version does not know, such as one that a newer client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unrecognized;

/// An optional field that can hold a value that this version does not know.
pub type Choice<T> = Option<Result<T, Unrecognized>>;

/// A job spec. Fields are named and documented as those of `digits.v1.JobSpec`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobRequest {
    /// Empty: the default preset.
    pub preset: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub model: Option<String>,
    pub data: DataRequest,
    pub architecture: ArchitectureRequest,
    pub init_from: Option<String>,
    pub optimizer: Option<OptimizerRequest>,
    pub schedule: Option<ScheduleRequest>,
    pub batch_size: Option<u32>,
    pub epochs: Option<u32>,
    pub seed: Option<u64>,
    pub generator_skip: Option<u64>,
    pub device: Option<String>,
    pub evaluation: EvaluationRequest,
    pub publish: Choice<PublishPolicy>,
    pub promotion: Choice<Policy>,
    pub limits: Option<LimitsRequest>,
    pub augmentation: Option<AugmentationRequest>,
    pub regularization: RegularizationRequest,
    /// `early_stopping.patience_rows`.
    pub patience_rows: Option<u32>,
    pub precision: Choice<Precision>,
    pub calibrate: Option<bool>,
    pub report: Option<bool>,
}

impl JobRequest {
    /// Id of the checkpoint that the weights start from; `None` where `init_from` is unset or is
    /// not an id.
    #[must_use]
    pub fn parent_id(&self) -> Option<CheckpointId> {
        self.init_from.as_deref()?.parse().ok()
    }

    /// Takes unset fields from a preset, except those that describe the job itself and the
    /// augmentation.
    pub(super) fn or(self, preset: Self) -> Self {
        let optimizer = match (self.optimizer, preset.optimizer) {
            (Some(own), Some(preset)) => Some(own.or(preset)),
            (own, preset) => own.or(preset),
        };
        let schedule = match (self.schedule, preset.schedule) {
            (Some(own), Some(preset)) => Some(own.or(preset)),
            (own, preset) => own.or(preset),
        };
        Self {
            model: self.model.or(preset.model),
            data: self.data.or(preset.data),
            architecture: self.architecture.or(preset.architecture),
            optimizer,
            schedule,
            batch_size: self.batch_size.or(preset.batch_size),
            epochs: self.epochs.or(preset.epochs),
            seed: self.seed.or(preset.seed),
            generator_skip: self.generator_skip.or(preset.generator_skip),
            device: self.device.or(preset.device),
            evaluation: self.evaluation.or(preset.evaluation),
            publish: self.publish.or(preset.publish),
            promotion: self.promotion.or(preset.promotion),
            regularization: self.regularization.or(preset.regularization),
            patience_rows: self.patience_rows.or(preset.patience_rows),
            precision: self.precision.or(preset.precision),
            calibrate: self.calibrate.or(preset.calibrate),
            report: self.report.or(preset.report),
            ..self
        }
    }
}

/// Defines structs of optional fields, with `or`: a field that is unset comes from the other
/// struct.
macro_rules! optional_fields {
    ($($(#[$attribute:meta])* struct $name:ident { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$attribute])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $(pub $field: Option<$type>,)*
        }

        impl $name {
            pub(super) fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field),)* }
            }
        }
    )*};
}

optional_fields! {
    /// `digits.v1.DataSpec`.
    struct DataRequest {
        dataset: String,
        split: Split,
        split_seed: u64,
        mean: f32,
        std: f32,
        synthetic: SyntheticRequest,
    }

    /// `digits.v1.SyntheticSpec`.
    #[derive(Copy)]
    struct SyntheticRequest {
        train_images: u32,
        test_images: u32,
        seed: u64,
    }

    /// `digits.v1.ArchitectureSpec`: the widths of the hidden layers, from the input to the output,
    /// and their activation. The slope of a leaky ReLU is in `activation`; `negative_slope` is as
    /// the client sent it.
    struct ArchitectureRequest {
        hidden: Vec<u32>,
        activation: Result<Activation, Unrecognized>,
        negative_slope: f32,
    }

    /// `digits.v1.Sgd`.
    #[derive(Copy)]
    struct SgdRequest {
        learning_rate: f64,
        momentum: f64,
        nesterov: bool,
        weight_decay: f64,
    }

    /// `digits.v1.AdamW`.
    #[derive(Copy)]
    struct AdamWRequest {
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        weight_decay: f64,
    }

    /// `digits.v1.StepSchedule`.
    #[derive(Copy)]
    struct StepRequest {
        every_epochs: u32,
        factor: f64,
    }

    /// `digits.v1.CosineSchedule`.
    #[derive(Copy)]
    struct CosineRequest {
        warmup: f64,
        final_factor: f64,
    }

    /// `digits.v1.OneCycleSchedule`.
    #[derive(Copy)]
    struct OneCycleRequest {
        up: f64,
        initial_factor: f64,
        final_factor: f64,
    }

    /// `digits.v1.EvaluationSpec`.
    #[derive(Copy)]
    struct EvaluationRequest {
        every_steps: u32,
        batch_size: u32,
    }

    /// `digits.v1.AugmentationSpec`.
    #[derive(Copy)]
    struct AugmentationRequest {
        enabled: bool,
        rotation_degrees: f64,
        shear_degrees: f64,
        scale_min: f64,
        scale_max: f64,
        shift_pixels: f64,
        elastic_alpha: f64,
        elastic_sigma: f64,
        noise: f64,
        pen: bool,
        outlier_share: f64,
        styles: f64,
        letters: f64,
    }

    /// `digits.v1.RegularizationSpec`.
    #[derive(Copy)]
    struct RegularizationRequest {
        label_smoothing: f64,
        dropout: f64,
        ema_decay: f64,
        max_gradient_norm: f64,
    }
}

/// `digits.v1.LimitsSpec`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LimitsRequest {
    pub deadline: Choice<Duration>,
}

/// The optimizer of a job spec.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerRequest {
    Sgd(SgdRequest),
    AdamW(AdamWRequest),
}

impl OptimizerRequest {
    /// Takes unset fields from another optimizer of the same kind.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Sgd(own), Self::Sgd(other)) => Self::Sgd(own.or(other)),
            (Self::AdamW(own), Self::AdamW(other)) => Self::AdamW(own.or(other)),
            (own, _) => own,
        }
    }
}

/// The learning rate schedule of a job spec.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScheduleRequest {
    Constant,
    Step(StepRequest),
    Cosine(CosineRequest),
    OneCycle(OneCycleRequest),
}

impl ScheduleRequest {
    /// Takes unset fields from another schedule of the same kind.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Step(own), Self::Step(other)) => Self::Step(own.or(other)),
            (Self::Cosine(own), Self::Cosine(other)) => Self::Cosine(own.or(other)),
            (Self::OneCycle(own), Self::OneCycle(other)) => Self::OneCycle(own.or(other)),
            (own, _) => own,
        }
    }
}
