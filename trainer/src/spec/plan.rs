//! A filled and checked spec as a plan for the training.

use super::{Violation, augmentation, network::network_size, parent, precision};
use crate::{
    datasets::{Catalog, DEFAULT_SYNTHETIC, Shape, Wanted},
    job::NetworkSize,
    train,
};
use digits_checkpoint::{
    id::{CheckpointId, ModelName},
    manifest::{Activation, Architecture, InputSpec},
};
use digits_dataset::synthetic;
use digits_proto::v1::{
    self, DataSpec, JobSpec, data_spec,
    job_spec::{Optimizer, Schedule},
};
use std::time::Duration;

/// What `google.protobuf.Duration` may hold, about 10,000 years. Its JSON form has no more.
const DEADLINE_SECONDS_AT_MOST: u64 = 315_576_000_000;

/// What a job is to do.
#[derive(Clone, Debug)]
pub struct JobPlan {
    /// The training.
    pub train: train::Plan,
    /// On what.
    pub dataset: Wanted,
    /// The data set's name, without a digest.
    pub dataset_name: String,
    /// Sizes of the data set.
    pub shape: Shape,
    /// The model that the checkpoints are for.
    pub model: ModelName,
    /// The checkpoint that the training starts from. Its weights are put into `train` when the job begins.
    pub parent: Option<CheckpointId>,
    /// The preset that filled the spec.
    pub preset: String,
    /// Promotion policy, as the contract numbers it.
    pub promotion: i32,
    /// Whether the last checkpoint gets a report card.
    pub report: bool,
    /// After this time of training the job fails.
    pub deadline: Option<Duration>,
    /// Numbers of the network.
    pub network: NetworkSize,
    /// Steps of all epochs.
    pub steps: u64,
}

/// Makes a plan of a filled spec.
///
/// # Errors
/// What this version or this machine cannot do.
pub fn plan(spec: &JobSpec, catalog: &Catalog) -> Result<JobPlan, Vec<Violation>> {
    let refuse = |field: &str, message: String| {
        vec![Violation {
            field: format!("spec.{field}"),
            message,
        }]
    };
    let data = spec.data.clone().unwrap_or_default();
    let dataset = wanted(&data);
    let shape = catalog
        .shape(&dataset)
        .map_err(|reason| refuse("data.dataset", reason.to_string()))?;
    let device = train::resolve_device(spec.device.as_deref().unwrap_or("auto"))
        .map_err(|error| refuse("device", error.to_string()))?;
    let split = split(&data).ok_or_else(|| refuse("data", "the split must be set".to_owned()))?;
    let train_plan = train_plan(spec, &data, &shape, device, split);
    let (train_images, _) = train::split_sizes(split, shape.train)
        .map_err(|error| refuse("data.split", error.to_string()))?;
    let deadline = deadline(spec).map_err(|message| refuse("limits.deadline", message))?;
    let steps = train::steps_per_epoch(train_images, train_plan.batch_size)
        .saturating_mul(train_plan.epochs.into());
    Ok(JobPlan {
        network: network_size(&train_plan.architecture),
        train: train_plan,
        dataset_name: dataset.name().to_owned(),
        dataset,
        shape,
        model: spec
            .model
            .as_deref()
            .unwrap_or_default()
            .parse()
            .map_err(|error| refuse("model", format!("{error}")))?,
        parent: parent::parent_id(spec),
        preset: spec.preset.clone(),
        promotion: spec.promotion,
        report: spec.report == Some(true),
        deadline,
        steps,
    })
}

fn train_plan(
    spec: &JobSpec,
    data: &DataSpec,
    shape: &Shape,
    device: train::Device,
    split: train::Split,
) -> train::Plan {
    let evaluation = spec.evaluation.unwrap_or_default();
    train::Plan {
        architecture: architecture(spec, shape),
        input: InputSpec {
            height: shape.height,
            width: shape.width,
            scale: train::PIXEL_SCALE,
            mean: data.mean.unwrap_or(0.0),
            std: data.std.unwrap_or(1.0),
        },
        split,
        split_seed: data.split_seed,
        seed: spec.seed.unwrap_or_default(),
        generator_skip: spec.generator_skip.unwrap_or_default(),
        first_weights: None,
        batch_size: spec.batch_size.unwrap_or(1) as usize,
        epochs: spec.epochs.unwrap_or(1),
        optimizer: optimizer(spec),
        schedule: schedule(spec),
        validate_every: evaluation.every_steps.unwrap_or(1) as usize,
        evaluation_batch_size: evaluation.batch_size.unwrap_or(1) as usize,
        augmentation: augmentation::plan(spec.augmentation, shape),
        device,
        precision: precision::plan(spec),
        threads_at_most: train::cores(),
        publish: match spec.publish.unwrap_or_default().policy() {
            v1::PublishPolicy::Best => train::PublishPolicy::Best,
            v1::PublishPolicy::Final => train::PublishPolicy::Final,
            v1::PublishPolicy::EveryEpoch | v1::PublishPolicy::Unspecified => {
                train::PublishPolicy::EveryEpoch
            }
        },
        regularization: regularization(spec),
        patience_rows: spec.early_stopping.map(|stopping| stopping.patience_rows),
        calibrate: spec.calibrate.unwrap_or_default(),
    }
}

fn regularization(spec: &JobSpec) -> train::Regularization {
    let terms = spec.regularization.unwrap_or_default();
    train::Regularization {
        label_smoothing: terms.label_smoothing.unwrap_or_default(),
        dropout: terms.dropout.unwrap_or_default(),
        ema_decay: terms.ema_decay.unwrap_or_default(),
        max_gradient_norm: terms.max_gradient_norm.unwrap_or_default(),
    }
}

/// The data set of a filled spec.
pub(crate) fn wanted(data: &DataSpec) -> Wanted {
    match data.dataset.as_deref().unwrap_or_default() {
        "mnist" => Wanted::Mnist,
        "synthetic" => {
            let sizes = data.synthetic.unwrap_or_default();
            let count = |asked: Option<u32>, default| asked.map_or(default, |asked| asked as usize);
            Wanted::Synthetic(synthetic::Options {
                train: count(sizes.train_images, DEFAULT_SYNTHETIC.train),
                test: count(sizes.test_images, DEFAULT_SYNTHETIC.test),
                seed: sizes.seed.unwrap_or(DEFAULT_SYNTHETIC.seed),
            })
        }
        name => match name.parse() {
            Ok(pinned) => Wanted::Pushed(pinned),
            Err(_) => Wanted::Folder(name.to_owned()),
        },
    }
}

pub(super) fn split(data: &DataSpec) -> Option<train::Split> {
    Some(match data.split.as_ref()? {
        data_spec::Split::Counts(counts) => train::Split::Counts {
            train: counts.train as usize,
            validation: counts.validation as usize,
        },
        data_spec::Split::Fractions(shares) => train::Split::Fractions {
            train: shares.train,
            validation: shares.validation,
        },
    })
}

pub(super) fn architecture(spec: &JobSpec, shape: &Shape) -> Architecture {
    let asked = spec.architecture.clone().unwrap_or_default();
    Architecture {
        input_size: shape.height * shape.width,
        hidden: asked
            .hidden
            .clone()
            .unwrap_or_default()
            .widths
            .iter()
            .map(|&width| width as usize)
            .collect(),
        classes: shape.label_names.len(),
        activation: match asked.activation() {
            v1::Activation::ScaledTanh => Activation::ScaledTanh,
            v1::Activation::Gelu => Activation::Gelu,
            v1::Activation::Relu | v1::Activation::Unspecified => Activation::Relu,
        },
    }
}

fn optimizer(spec: &JobSpec) -> train::Optimizer {
    match &spec.optimizer {
        Some(Optimizer::Adamw(adamw)) => train::Optimizer::AdamW {
            learning_rate: adamw.learning_rate.unwrap_or_default(),
            beta1: adamw.beta1.unwrap_or_default(),
            beta2: adamw.beta2.unwrap_or_default(),
            epsilon: adamw.epsilon.unwrap_or_default(),
            weight_decay: adamw.weight_decay.unwrap_or_default(),
        },
        Some(Optimizer::Sgd(sgd)) => train::Optimizer::Sgd {
            learning_rate: sgd.learning_rate.unwrap_or_default(),
            momentum: sgd.momentum.unwrap_or_default(),
            nesterov: sgd.nesterov.unwrap_or_default(),
            weight_decay: sgd.weight_decay.unwrap_or_default(),
        },
        None => train::Optimizer::Sgd {
            learning_rate: 0.0,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        },
    }
}

fn schedule(spec: &JobSpec) -> train::Schedule {
    match &spec.schedule {
        Some(Schedule::Step(step)) => train::Schedule::Step {
            every_epochs: step.every_epochs.unwrap_or(1),
            factor: step.factor.unwrap_or(1.0),
        },
        Some(Schedule::Cosine(cosine)) => train::Schedule::Cosine {
            warmup: cosine.warmup.unwrap_or_default(),
            final_factor: cosine.final_factor.unwrap_or_default(),
        },
        Some(Schedule::OneCycle(cycle)) => train::Schedule::OneCycle {
            up: cycle.up.unwrap_or_default(),
            initial_factor: cycle.initial_factor.unwrap_or_default(),
            final_factor: cycle.final_factor.unwrap_or_default(),
        },
        Some(Schedule::Constant(_)) | None => train::Schedule::Constant,
    }
}

/// Time of training after which the job fails.
///
/// # Errors
/// What is wrong with it.
pub(super) fn deadline(spec: &JobSpec) -> Result<Option<Duration>, String> {
    let Some(deadline) = spec.limits.and_then(|limits| limits.deadline) else {
        return Ok(None);
    };
    let (seconds, nanos) = (
        u64::try_from(deadline.seconds),
        u32::try_from(deadline.nanos),
    );
    match (seconds, nanos) {
        (Ok(0), Ok(0)) => {}
        (Ok(seconds), _) if seconds > DEADLINE_SECONDS_AT_MOST => {
            return Err(format!(
                "must be at most {DEADLINE_SECONDS_AT_MOST} seconds, not {seconds}: leave it unset for none"
            ));
        }
        (Ok(seconds), Ok(nanos @ 0..1_000_000_000)) => {
            return Ok(Some(Duration::new(seconds, nanos)));
        }
        _ => {}
    }
    Err("must be a time of more than 0 seconds: leave it unset for none".to_owned())
}
