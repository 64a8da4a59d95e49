//! Fills what a spec does not set with what its preset says, field by field.

use super::{Violations, augmentation, presets};
use crate::datasets::DEFAULT_SYNTHETIC;
use digits_proto::v1::{
    Activation, AdamW, ArchitectureSpec, CosineSchedule, DataSpec, EvaluationSpec, JobSpec,
    OneCycleSchedule, Precision, PromotionPolicy, PublishPolicy, PublishSpec, RegularizationSpec,
    Sgd, SplitFractions, StepSchedule, SyntheticSpec,
    data_spec::Split,
    job_spec::{Optimizer, Schedule},
};
use prost::Message as _;
use std::collections::BTreeMap;

/// Bytes that are equal exactly when two specs are: a map's entries have no order on the wire.
#[must_use]
pub fn request_key(spec: &JobSpec) -> Vec<u8> {
    let mut unlabelled = spec.clone();
    let labels: BTreeMap<String, String> =
        std::mem::take(&mut unlabelled.labels).into_iter().collect();
    let mut key = unlabelled.encode_length_delimited_to_vec();
    for (label, value) in labels {
        for text in [label, value] {
            key.extend((text.len() as u64).to_le_bytes());
            key.extend(text.into_bytes());
        }
    }
    key
}

/// The spec with every field filled that has a default. An unknown preset is a violation; the default one
/// stands in, so that the rest is checked too.
pub(super) fn fill(requested: &JobSpec, found: &mut Violations) -> JobSpec {
    let preset = preset(&requested.preset, found);
    let mut spec = requested.clone();
    spec.preset = preset.preset;
    spec.model = spec.model.or(preset.model);
    fill_seed(&mut spec, preset.seed, preset.generator_skip);
    spec.data = Some(data(
        requested.data.as_ref(),
        preset.data.unwrap_or_default(),
    ));
    spec.architecture = Some(architecture(
        requested.architecture.as_ref(),
        preset.architecture.unwrap_or_default(),
    ));
    spec.optimizer = optimizer(requested.optimizer, preset.optimizer);
    spec.schedule = schedule(requested.schedule, preset.schedule);
    spec.batch_size = spec.batch_size.or(preset.batch_size);
    spec.epochs = spec.epochs.or(preset.epochs);
    spec.device = spec.device.or(preset.device);
    spec.evaluation = Some(evaluation(requested, preset.evaluation.unwrap_or_default()));
    spec.publish = Some(publish(requested.publish, preset.publish));
    if spec.promotion == i32::from(PromotionPolicy::Unspecified) {
        spec.promotion = preset.promotion;
    }
    if spec.precision == i32::from(Precision::Unspecified) {
        spec.precision = preset.precision;
    }
    spec.augmentation = augmentation::fill(requested.augmentation, preset.augmentation);
    spec.regularization = Some(regularization(
        requested.regularization,
        preset.regularization.unwrap_or_default(),
    ));
    spec.early_stopping = spec.early_stopping.or(preset.early_stopping);
    spec.calibrate = spec.calibrate.or(preset.calibrate);
    spec.report = spec.report.or(preset.report);
    spec
}

fn preset(name: &str, found: &mut Violations) -> JobSpec {
    let all = presets();
    let wanted = if name.is_empty() {
        presets::DEFAULT
    } else {
        name
    };
    if let Some(preset) = all.iter().find(|preset| preset.name == wanted) {
        return preset.spec.clone();
    }
    let names: Vec<&str> = all.iter().map(|preset| preset.name).collect();
    found.push(
        "preset",
        format!(
            "this version does not have this preset: use {}",
            names.join(" or ")
        ),
    );
    all.into_iter()
        .next()
        .map(|preset| preset.spec)
        .unwrap_or_default()
}

/// The preset's skip belongs to its seed: with a seed of the caller's own nothing is thrown away, as in a
/// script that is run from top to bottom, unless the caller says so.
fn fill_seed(spec: &mut JobSpec, seed: Option<u64>, generator_skip: Option<u64>) {
    let own_seed = spec.seed.is_some();
    spec.seed = spec.seed.or(seed);
    let skip = if own_seed { Some(0) } else { generator_skip };
    spec.generator_skip = spec.generator_skip.or(skip);
}

/// The preset's division belongs to its data set: another data set is divided nine to one.
fn data(requested: Option<&DataSpec>, preset: DataSpec) -> DataSpec {
    let mut data = requested.cloned().unwrap_or_default();
    let same =
        data.synthetic.is_none() && (data.dataset.is_none() || data.dataset == preset.dataset);
    data.dataset = data.dataset.or(preset.dataset);
    data.mean = data.mean.or(preset.mean);
    data.std = data.std.or(preset.std);
    if data.split.is_none() {
        data.split = if same {
            preset.split
        } else {
            Some(Split::Fractions(SplitFractions {
                train: 0.9,
                validation: 0.1,
            }))
        };
    }
    if data.dataset.as_deref() == Some("synthetic") {
        let asked = data.synthetic.unwrap_or_default();
        let count = |count: usize| u32::try_from(count).ok();
        data.synthetic = Some(SyntheticSpec {
            train_images: asked.train_images.or(count(DEFAULT_SYNTHETIC.train)),
            test_images: asked.test_images.or(count(DEFAULT_SYNTHETIC.test)),
            seed: asked.seed.or(Some(DEFAULT_SYNTHETIC.seed)),
        });
    }
    data
}

fn architecture(
    requested: Option<&ArchitectureSpec>,
    preset: ArchitectureSpec,
) -> ArchitectureSpec {
    let mut spec = requested.cloned().unwrap_or_default();
    spec.hidden = spec.hidden.or(preset.hidden);
    if spec.activation == i32::from(Activation::Unspecified) {
        spec.activation = preset.activation;
    }
    spec
}

/// Fields of the optimiser that is asked for come from the preset where it has the same one, else they are
/// PyTorch's defaults.
fn optimizer(requested: Option<Optimizer>, preset: Option<Optimizer>) -> Option<Optimizer> {
    match requested {
        Some(Optimizer::Sgd(own)) => {
            let from = match preset {
                Some(Optimizer::Sgd(preset)) => preset,
                _ => Sgd {
                    learning_rate: Some(1e-3),
                    momentum: Some(0.0),
                    nesterov: Some(false),
                    weight_decay: Some(0.0),
                },
            };
            Some(Optimizer::Sgd(Sgd {
                learning_rate: own.learning_rate.or(from.learning_rate),
                momentum: own.momentum.or(from.momentum),
                nesterov: own.nesterov.or(from.nesterov),
                weight_decay: own.weight_decay.or(from.weight_decay),
            }))
        }
        Some(Optimizer::Adamw(own)) => {
            let from = match preset {
                Some(Optimizer::Adamw(preset)) => preset,
                _ => AdamW {
                    learning_rate: Some(1e-3),
                    beta1: Some(0.9),
                    beta2: Some(0.999),
                    epsilon: Some(1e-8),
                    weight_decay: Some(0.01),
                },
            };
            Some(Optimizer::Adamw(AdamW {
                learning_rate: own.learning_rate.or(from.learning_rate),
                beta1: own.beta1.or(from.beta1),
                beta2: own.beta2.or(from.beta2),
                epsilon: own.epsilon.or(from.epsilon),
                weight_decay: own.weight_decay.or(from.weight_decay),
            }))
        }
        None => preset,
    }
}

fn regularization(
    requested: Option<RegularizationSpec>,
    preset: RegularizationSpec,
) -> RegularizationSpec {
    let own = requested.unwrap_or_default();
    RegularizationSpec {
        label_smoothing: own.label_smoothing.or(preset.label_smoothing),
        dropout: own.dropout.or(preset.dropout),
        ema_decay: own.ema_decay.or(preset.ema_decay),
        max_gradient_norm: own.max_gradient_norm.or(preset.max_gradient_norm),
    }
}

/// Fields of the schedule that is asked for come from the preset where it has the same one, else from
/// these defaults.
fn schedule(requested: Option<Schedule>, preset: Option<Schedule>) -> Option<Schedule> {
    match requested {
        Some(Schedule::Step(own)) => Some(Schedule::Step(StepSchedule {
            every_epochs: own.every_epochs.or(Some(1)),
            factor: own.factor.or(Some(0.5)),
        })),
        Some(Schedule::Cosine(own)) => {
            let from = match preset {
                Some(Schedule::Cosine(preset)) => preset,
                _ => CosineSchedule {
                    warmup: Some(0.0),
                    final_factor: Some(0.0),
                },
            };
            Some(Schedule::Cosine(CosineSchedule {
                warmup: own.warmup.or(from.warmup),
                final_factor: own.final_factor.or(from.final_factor),
            }))
        }
        Some(Schedule::OneCycle(own)) => Some(Schedule::OneCycle(OneCycleSchedule {
            up: own.up.or(Some(0.3)),
            initial_factor: own.initial_factor.or(Some(0.04)),
            final_factor: own.final_factor.or(Some(0.0)),
        })),
        Some(Schedule::Constant(own)) => Some(Schedule::Constant(own)),
        None => preset,
    }
}

/// Validation takes batches of the training's size when the caller chose one and no other.
fn evaluation(requested: &JobSpec, preset: EvaluationSpec) -> EvaluationSpec {
    let own = requested.evaluation.unwrap_or_default();
    EvaluationSpec {
        every_steps: own.every_steps.or(preset.every_steps),
        batch_size: own
            .batch_size
            .or(requested.batch_size)
            .or(preset.batch_size),
    }
}

fn publish(requested: Option<PublishSpec>, preset: Option<PublishSpec>) -> PublishSpec {
    let own = requested.unwrap_or_default();
    if own.policy == i32::from(PublishPolicy::Unspecified) {
        preset.unwrap_or_default()
    } else {
        own
    }
}
