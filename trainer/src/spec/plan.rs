//! Makes the plan of a job from a filled and checked request.

use super::{
    JobRequest, SpecError, augmentation,
    network::network_size,
    request::{DataRequest, OptimizerRequest, ScheduleRequest, Unrecognized},
};
use crate::{
    datasets::{Catalog, DEFAULT_SYNTHETIC, DatasetSource, Shape},
    job::NetworkSize,
    train,
};
use digits_checkpoint::{
    id::{CheckpointId, ModelName},
    manifest::{Activation, Architecture, InputSpec},
    serving::Policy,
};
use digits_dataset::synthetic;
use std::time::Duration;

/// Violation by a deadline that is not a duration, or is 0.
pub(super) const BAD_DEADLINE: &str =
    "must be a time of more than 0 seconds: leave it unset for none";

/// Plan of a job.
#[derive(Clone, Debug)]
pub struct JobPlan {
    /// The training.
    pub train: train::Plan,
    /// The data set to train on.
    pub dataset: DatasetSource,
    /// Its name, without a digest.
    pub dataset_name: String,
    /// Its sizes.
    pub shape: Shape,
    /// The model that the checkpoints are for.
    pub model: ModelName,
    /// The checkpoint that the training starts from. Its weights are put into `train` when the job
    /// begins.
    pub parent: Option<CheckpointId>,
    /// The preset that filled the spec.
    pub preset: String,
    /// When a published checkpoint becomes the served one.
    pub promotion: Policy,
    /// Whether the last checkpoint gets a report card.
    pub report: bool,
    /// Time of training after which the job fails.
    pub deadline: Option<Duration>,
    /// Size of the network.
    pub network: NetworkSize,
    /// Steps of all epochs.
    pub steps: u64,
}

/// Makes the plan of a filled request. A request from the database was checked when its job was
/// submitted.
///
/// # Errors
/// [`SpecError::Invalid`] for what this version or this machine cannot do.
pub fn plan(spec: &JobRequest, catalog: &Catalog) -> Result<JobPlan, SpecError> {
    let dataset = dataset_source(&spec.data);
    let shape = catalog
        .shape(&dataset)
        .map_err(|reason| SpecError::invalid("data.dataset", reason.to_string()))?;
    let device = train::resolve_device(spec.device.as_deref().unwrap_or("auto"))
        .map_err(|error| SpecError::invalid("device", error.to_string()))?;
    let split = spec
        .data
        .split
        .ok_or_else(|| SpecError::invalid("data", "counts or fractions must be set"))?;
    let (train_images, _) = train::split_sizes(split, shape.train)
        .map_err(|error| SpecError::invalid("data.split", error.to_string()))?;
    let deadline = spec
        .limits
        .and_then(|limits| limits.deadline)
        .transpose()
        .map_err(|Unrecognized| SpecError::invalid("limits.deadline", BAD_DEADLINE))?;
    let model = spec
        .model
        .as_deref()
        .unwrap_or_default()
        .parse()
        .map_err(|error| SpecError::invalid("model", format!("{error}")))?;
    let train = train_plan(spec, &shape, device, split);
    let steps =
        train::steps_per_epoch(train_images, train.batch_size).saturating_mul(train.epochs.into());
    Ok(JobPlan {
        network: network_size(&train.architecture),
        train,
        dataset_name: dataset.name().to_owned(),
        dataset,
        shape,
        model,
        parent: spec.parent_id(),
        preset: spec.preset.clone(),
        promotion: known(spec.promotion).unwrap_or(Policy::Latest),
        report: spec.report == Some(true),
        deadline,
        steps,
    })
}

fn train_plan(
    spec: &JobRequest,
    shape: &Shape,
    device: train::Device,
    split: train::Split,
) -> train::Plan {
    train::Plan {
        architecture: architecture(spec, shape),
        input: InputSpec {
            height: shape.height,
            width: shape.width,
            scale: train::PIXEL_SCALE,
            mean: spec.data.mean.unwrap_or(0.0),
            std: spec.data.std.unwrap_or(1.0),
        },
        split,
        split_seed: spec.data.split_seed,
        seed: spec.seed.unwrap_or_default(),
        generator_skip: spec.generator_skip.unwrap_or_default(),
        initial_weights: None,
        batch_size: spec.batch_size.unwrap_or(1) as usize,
        epochs: spec.epochs.unwrap_or(1),
        optimizer: optimizer(spec),
        schedule: schedule(spec),
        validate_every: spec.evaluation.every_steps.unwrap_or(1) as usize,
        evaluation_batch_size: spec.evaluation.batch_size.unwrap_or(1) as usize,
        augmentation: augmentation::plan(spec.augmentation, shape),
        device,
        precision: known(spec.precision).unwrap_or(train::Precision::Float32),
        max_threads: train::cores(),
        publish: known(spec.publish).unwrap_or(train::PublishPolicy::EveryEpoch),
        regularization: regularization(spec),
        patience_rows: spec.patience_rows,
        calibrate: spec.calibrate.unwrap_or_default(),
    }
}

/// A choice that this version knows. A stored one that it does not know, which a later version
/// wrote, is as unset.
fn known<T>(choice: Option<Result<T, Unrecognized>>) -> Option<T> {
    choice.and_then(Result::ok)
}

/// The data set of a filled request.
#[must_use]
pub fn dataset_source(data: &DataRequest) -> DatasetSource {
    match data.dataset.as_deref().unwrap_or_default() {
        "mnist" => DatasetSource::Mnist,
        "synthetic" => {
            let sizes = data.synthetic.unwrap_or_default();
            let count = |images: Option<u32>, default| images.map_or(default, |it| it as usize);
            DatasetSource::Synthetic(synthetic::Options {
                train: count(sizes.train_images, DEFAULT_SYNTHETIC.train),
                test: count(sizes.test_images, DEFAULT_SYNTHETIC.test),
                seed: sizes.seed.unwrap_or(DEFAULT_SYNTHETIC.seed),
            })
        }
        name => match name.parse() {
            Ok(pinned) => DatasetSource::Pushed(pinned),
            Err(_) => DatasetSource::Folder(name.to_owned()),
        },
    }
}

pub(super) fn architecture(spec: &JobRequest, shape: &Shape) -> Architecture {
    let hidden = spec.architecture.hidden.iter().flatten();
    Architecture {
        input_size: shape.height * shape.width,
        hidden: hidden.map(|&width| width as usize).collect(),
        classes: shape.label_names.len(),
        activation: known(spec.architecture.activation).unwrap_or(Activation::Relu),
    }
}

pub(super) fn regularization(spec: &JobRequest) -> train::Regularization {
    let terms = spec.regularization;
    train::Regularization {
        label_smoothing: terms.label_smoothing.unwrap_or_default(),
        dropout: terms.dropout.unwrap_or_default(),
        ema_decay: terms.ema_decay.unwrap_or_default(),
        max_gradient_norm: terms.max_gradient_norm.unwrap_or_default(),
    }
}

pub(super) fn optimizer(spec: &JobRequest) -> train::Optimizer {
    match spec.optimizer {
        Some(OptimizerRequest::AdamW(adamw)) => train::Optimizer::AdamW(train::AdamWOptions {
            learning_rate: adamw.learning_rate.unwrap_or_default(),
            beta1: adamw.beta1.unwrap_or_default(),
            beta2: adamw.beta2.unwrap_or_default(),
            epsilon: adamw.epsilon.unwrap_or_default(),
            weight_decay: adamw.weight_decay.unwrap_or_default(),
        }),
        Some(OptimizerRequest::Sgd(sgd)) => train::Optimizer::Sgd(train::SgdOptions {
            learning_rate: sgd.learning_rate.unwrap_or_default(),
            momentum: sgd.momentum.unwrap_or_default(),
            nesterov: sgd.nesterov.unwrap_or_default(),
            weight_decay: sgd.weight_decay.unwrap_or_default(),
        }),
        None => train::Optimizer::Sgd(train::SgdOptions {
            learning_rate: 0.0,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        }),
    }
}

pub(super) fn schedule(spec: &JobRequest) -> train::Schedule {
    match spec.schedule {
        Some(ScheduleRequest::Step(step)) => train::Schedule::Step {
            every_epochs: step.every_epochs.unwrap_or(1),
            factor: step.factor.unwrap_or(1.0),
        },
        Some(ScheduleRequest::Cosine(cosine)) => train::Schedule::Cosine {
            warmup: cosine.warmup.unwrap_or_default(),
            final_factor: cosine.final_factor.unwrap_or_default(),
        },
        Some(ScheduleRequest::OneCycle(cycle)) => train::Schedule::OneCycle {
            up: cycle.up.unwrap_or_default(),
            initial_factor: cycle.initial_factor.unwrap_or_default(),
            final_factor: cycle.final_factor.unwrap_or_default(),
        },
        Some(ScheduleRequest::Constant) | None => train::Schedule::Constant,
    }
}
