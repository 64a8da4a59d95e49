//! Job specs as messages: conversion to and from [`JobRequest`], and their stored forms.

use crate::{
    spec::request::{
        AdamWRequest, ArchitectureRequest, AugmentationRequest, Choice, CosineRequest, DataRequest,
        EvaluationRequest, JobRequest, LimitsRequest, OneCycleRequest, OptimizerRequest,
        RegularizationRequest, ScheduleRequest, SgdRequest, StepRequest, SyntheticRequest,
        Unrecognized,
    },
    train::{Precision, PublishPolicy, Split},
};
use digits_checkpoint::{manifest::Activation, serving::Policy};
use digits_proto::{
    json::{self, InvalidJson, NoJsonForm},
    v1::{self, data_spec, job_spec},
};
use prost::{DecodeError, Message as _};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// A job spec in its wire form, as sent by a client or stored in the database.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecMessage(v1::JobSpec);

/// A resolved spec as the lineage in a manifest holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct LineageSpec {
    /// For people: the fields of `digits.v1.JobSpec` by name.
    pub json: Value,
    /// For programs: the protocol-buffer bytes, in lower-case hexadecimal.
    pub protobuf: String,
}

impl From<v1::JobSpec> for SpecMessage {
    fn from(message: v1::JobSpec) -> Self {
        Self(message)
    }
}

impl From<SpecMessage> for v1::JobSpec {
    fn from(spec: SpecMessage) -> Self {
        spec.0
    }
}

impl SpecMessage {
    /// Reads the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// When they are not a job spec.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        v1::JobSpec::decode(bytes).map(Self)
    }

    /// Reads protobuf's JSON form of `digits.v1.JobSpec`.
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub fn from_json(text: &str) -> Result<Self, InvalidJson> {
        json::read(text).map(Self)
    }

    /// Reads protobuf's JSON form of `digits.v1.Preset`: name, description and spec.
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub fn preset_from_json(text: &str) -> Result<(String, String, Self), InvalidJson> {
        let preset: v1::Preset = json::read(text)?;
        let spec = Self(preset.spec.unwrap_or_default());
        Ok((preset.name, preset.description, spec))
    }

    /// The protocol-buffer bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    /// Bytes that are equal exactly when two specs are: a map's entries have no order on the wire.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let mut unlabelled = self.0.clone();
        let labels: BTreeMap<_, _> = std::mem::take(&mut unlabelled.labels).into_iter().collect();
        let mut key = unlabelled.encode_length_delimited_to_vec();
        for text in labels.into_iter().flat_map(<[String; 2]>::from) {
            key.extend((text.len() as u64).to_le_bytes());
            key.extend(text.into_bytes());
        }
        key
    }

    /// For the manifests of the job's checkpoints.
    ///
    /// # Errors
    /// [`NoJsonForm`] when a value is beyond what protobuf's JSON allows.
    pub fn lineage(&self) -> Result<LineageSpec, NoJsonForm> {
        let bytes = self.encode();
        Ok(LineageSpec {
            json: json::write(&self.0)?,
            protobuf: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// The spec in its domain form.
    #[must_use]
    pub fn request(&self) -> JobRequest {
        let spec = self.0.clone();
        let architecture = spec.architecture.unwrap_or_default();
        JobRequest {
            preset: spec.preset,
            name: spec.name,
            labels: spec.labels.into_iter().collect(),
            model: spec.model,
            data: data(spec.data.unwrap_or_default()),
            architecture: ArchitectureRequest {
                hidden: architecture.hidden.map(|hidden| hidden.widths),
                activation: with_slope(
                    choice(&ACTIVATIONS, architecture.activation),
                    architecture.negative_slope,
                ),
                negative_slope: architecture.negative_slope,
            },
            init_from: spec.init_from,
            optimizer: spec.optimizer.map(Into::into),
            schedule: spec.schedule.map(Into::into),
            batch_size: spec.batch_size,
            epochs: spec.epochs,
            seed: spec.seed,
            generator_skip: spec.generator_skip,
            device: spec.device,
            evaluation: spec.evaluation.unwrap_or_default().into(),
            publish: choice(&PUBLISHING, spec.publish.unwrap_or_default().policy),
            promotion: choice(&PROMOTION, spec.promotion),
            limits: spec.limits.map(|limits| LimitsRequest {
                deadline: limits.deadline.map(deadline),
            }),
            augmentation: spec.augmentation.map(Into::into),
            regularization: spec.regularization.unwrap_or_default().into(),
            patience_rows: spec.early_stopping.map(|stopping| stopping.patience_rows),
            precision: choice(&PRECISIONS, spec.precision),
            calibrate: spec.calibrate,
            report: spec.report,
        }
    }
}

impl From<&JobRequest> for SpecMessage {
    /// The message of a resolved spec. A value that this version does not know is left unset.
    fn from(from: &JobRequest) -> Self {
        Self(v1::JobSpec {
            preset: from.preset.clone(),
            name: from.name.clone(),
            labels: from.labels.clone().into_iter().collect(),
            model: from.model.clone(),
            data: Some(data_message(&from.data)),
            architecture: Some(v1::ArchitectureSpec {
                hidden: from
                    .architecture
                    .hidden
                    .clone()
                    .map(|widths| v1::HiddenLayers { widths }),
                activation: number(&ACTIVATIONS, with_slope(from.architecture.activation, None)),
                negative_slope: from.architecture.negative_slope,
            }),
            init_from: from.init_from.clone(),
            optimizer: from.optimizer.map(Into::into),
            schedule: from.schedule.map(Into::into),
            batch_size: from.batch_size,
            epochs: from.epochs,
            seed: from.seed,
            generator_skip: from.generator_skip,
            device: from.device.clone(),
            evaluation: Some(from.evaluation.into()),
            publish: Some(v1::PublishSpec {
                policy: number(&PUBLISHING, from.publish),
            }),
            promotion: number(&PROMOTION, from.promotion),
            limits: from.limits.map(|limits| v1::LimitsSpec {
                deadline: limits
                    .deadline
                    .and_then(Result::ok)
                    .and_then(|deadline| prost_types::Duration::try_from(deadline).ok()),
            }),
            augmentation: from.augmentation.map(Into::into),
            regularization: Some(from.regularization.into()),
            early_stopping: from
                .patience_rows
                .map(|patience_rows| v1::EarlyStoppingSpec { patience_rows }),
            precision: number(&PRECISIONS, from.precision),
            calibrate: from.calibrate,
            report: from.report,
        })
    }
}

/// Leaky ReLU is here with its default slope.
const ACTIVATIONS: [(v1::Activation, Activation); 6] = [
    (v1::Activation::Relu, Activation::Relu),
    (v1::Activation::ScaledTanh, Activation::ScaledTanh),
    (v1::Activation::Gelu, Activation::Gelu),
    (v1::Activation::Tanh, Activation::Tanh),
    (v1::Activation::Sigmoid, Activation::Sigmoid),
    (v1::Activation::LeakyRelu, LEAKY_RELU),
];
const LEAKY_RELU: Activation = Activation::LeakyRelu {
    negative_slope: Activation::NEGATIVE_SLOPE,
};

/// A leaky ReLU with this slope, or the default one; other activations as they are.
fn with_slope(activation: Choice<Activation>, slope: Option<f32>) -> Choice<Activation> {
    match activation {
        Some(Ok(Activation::LeakyRelu { .. })) => Some(Ok(Activation::LeakyRelu {
            negative_slope: slope.unwrap_or(Activation::NEGATIVE_SLOPE),
        })),
        other => other,
    }
}

/// The activation of an import by its number on the wire; `None` for one that is unknown.
#[must_use]
pub fn activation(number: i32, slope: Option<f32>) -> Choice<Activation> {
    with_slope(choice(&ACTIVATIONS, number), slope)
}

const PUBLISHING: [(v1::PublishPolicy, PublishPolicy); 3] = [
    (v1::PublishPolicy::EveryEpoch, PublishPolicy::EveryEpoch),
    (v1::PublishPolicy::Best, PublishPolicy::Best),
    (v1::PublishPolicy::Final, PublishPolicy::Final),
];

const PROMOTION: [(v1::PromotionPolicy, Policy); 3] = [
    (v1::PromotionPolicy::Latest, Policy::Latest),
    (v1::PromotionPolicy::IfBetter, Policy::IfBetter),
    (v1::PromotionPolicy::Manual, Policy::Manual),
];

const PRECISIONS: [(v1::Precision, Precision); 3] = [
    (v1::Precision::Float32, Precision::Float32),
    (v1::Precision::Tf32, Precision::Tf32),
    (v1::Precision::Bfloat16, Precision::Bfloat16),
];

/// The promotion policy that the database holds by its number on the wire; an unknown one is the
/// default.
#[must_use]
pub fn promotion_policy(stored: i32) -> Policy {
    let policy = choice(&PROMOTION, stored).and_then(Result::ok);
    policy.unwrap_or(Policy::Latest)
}

/// The number of [`promotion_policy`].
#[must_use]
pub fn promotion_number(policy: Policy) -> i32 {
    number(&PROMOTION, Some(Ok(policy)))
}

/// A value by its number on the wire, where 0 is unset.
fn choice<W: Copy + Into<i32>, T: Copy>(known: &[(W, T)], number: i32) -> Choice<T> {
    let value = known.iter().find(|(wire, _)| (*wire).into() == number);
    (number != 0).then(|| value.map(|(_, value)| *value).ok_or(Unrecognized))
}

fn number<W: Copy + Into<i32>, T: Copy + PartialEq>(known: &[(W, T)], choice: Choice<T>) -> i32 {
    let known = |value| known.iter().find(|(_, known)| *known == value);
    let wire = choice.and_then(Result::ok).and_then(known);
    wire.map_or(0, |(wire, _)| (*wire).into())
}

/// A positive duration.
fn deadline(from: prost_types::Duration) -> Result<Duration, Unrecognized> {
    match (u64::try_from(from.seconds), u32::try_from(from.nanos)) {
        (Ok(0), Ok(0)) => Err(Unrecognized),
        (Ok(seconds), Ok(nanos @ 0..1_000_000_000)) => Ok(Duration::new(seconds, nanos)),
        _ => Err(Unrecognized),
    }
}

fn data(from: v1::DataSpec) -> DataRequest {
    DataRequest {
        dataset: from.dataset,
        split: from.split.map(|split| match split {
            data_spec::Split::Counts(counts) => Split::Counts {
                train: counts.train as usize,
                validation: counts.validation as usize,
            },
            data_spec::Split::Fractions(v1::SplitFractions { train, validation }) => {
                Split::Fractions { train, validation }
            }
        }),
        split_seed: from.split_seed,
        mean: from.mean,
        std: from.std,
        synthetic: from.synthetic.map(Into::into),
    }
}

fn data_message(from: &DataRequest) -> v1::DataSpec {
    let count = |images| u32::try_from(images).unwrap_or(u32::MAX);
    v1::DataSpec {
        dataset: from.dataset.clone(),
        split: from.split.map(|split| match split {
            Split::Counts { train, validation } => data_spec::Split::Counts(v1::SplitCounts {
                train: count(train),
                validation: count(validation),
            }),
            Split::Fractions { train, validation } => {
                data_spec::Split::Fractions(v1::SplitFractions { train, validation })
            }
        }),
        split_seed: from.split_seed,
        mean: from.mean,
        std: from.std,
        synthetic: from.synthetic.map(Into::into),
    }
}

/// Conversions between a message and the struct with the same fields, both ways.
macro_rules! same_fields {
    ($($message:path = $request:path { $($field:ident),* $(,)? })*) => {$(
        impl From<$message> for $request {
            fn from(from: $message) -> Self {
                let $message { $($field),* } = from;
                Self { $($field),* }
            }
        }

        impl From<$request> for $message {
            fn from(from: $request) -> Self {
                let $request { $($field),* } = from;
                Self { $($field),* }
            }
        }
    )*};
}

same_fields! {
    v1::SyntheticSpec = SyntheticRequest { train_images, test_images, seed }
    v1::Sgd = SgdRequest { learning_rate, momentum, nesterov, weight_decay }
    v1::AdamW = AdamWRequest { learning_rate, beta1, beta2, epsilon, weight_decay }
    v1::StepSchedule = StepRequest { every_epochs, factor }
    v1::CosineSchedule = CosineRequest { warmup, final_factor }
    v1::OneCycleSchedule = OneCycleRequest { up, initial_factor, final_factor }
    v1::EvaluationSpec = EvaluationRequest { every_steps, batch_size }
    v1::RegularizationSpec = RegularizationRequest {
        label_smoothing, dropout, ema_decay, max_gradient_norm,
    }
    v1::AugmentationSpec = AugmentationRequest {
        enabled, rotation_degrees, shear_degrees, scale_min, scale_max, shift_pixels,
        elastic_alpha, elastic_sigma, noise, pen, outlier_share, styles, letters,
    }
}

impl From<job_spec::Optimizer> for OptimizerRequest {
    fn from(from: job_spec::Optimizer) -> Self {
        match from {
            job_spec::Optimizer::Sgd(sgd) => Self::Sgd(sgd.into()),
            job_spec::Optimizer::Adamw(adamw) => Self::AdamW(adamw.into()),
        }
    }
}

impl From<OptimizerRequest> for job_spec::Optimizer {
    fn from(from: OptimizerRequest) -> Self {
        match from {
            OptimizerRequest::Sgd(sgd) => Self::Sgd(sgd.into()),
            OptimizerRequest::AdamW(adamw) => Self::Adamw(adamw.into()),
        }
    }
}

impl From<job_spec::Schedule> for ScheduleRequest {
    fn from(from: job_spec::Schedule) -> Self {
        match from {
            job_spec::Schedule::Constant(v1::ConstantSchedule {}) => Self::Constant,
            job_spec::Schedule::Step(step) => Self::Step(step.into()),
            job_spec::Schedule::Cosine(cosine) => Self::Cosine(cosine.into()),
            job_spec::Schedule::OneCycle(cycle) => Self::OneCycle(cycle.into()),
        }
    }
}

impl From<ScheduleRequest> for job_spec::Schedule {
    fn from(from: ScheduleRequest) -> Self {
        match from {
            ScheduleRequest::Constant => Self::Constant(v1::ConstantSchedule {}),
            ScheduleRequest::Step(step) => Self::Step(step.into()),
            ScheduleRequest::Cosine(cosine) => Self::Cosine(cosine.into()),
            ScheduleRequest::OneCycle(cycle) => Self::OneCycle(cycle.into()),
        }
    }
}

#[cfg(test)]
mod tests;
