//! Sets what a request leaves unset: from its preset, except where a value of the preset belongs to
//! another field that the request overrides.

use super::{
    JobRequest, augmentation,
    request::{
        AdamWRequest, CosineRequest, OneCycleRequest, OptimizerRequest, ScheduleRequest,
        SgdRequest, StepRequest, SyntheticRequest,
    },
};
use crate::{datasets::DEFAULT_SYNTHETIC, train::Split};
use digits_checkpoint::manifest::Activation;

/// Split of a data set that is not the preset's.
const OTHER_SPLIT: Split = Split::Fractions {
    train: 0.9,
    validation: 0.1,
};

/// Sets every field that has a default.
pub(super) fn fill(mut spec: JobRequest, preset: &JobRequest) -> JobRequest {
    spec.preset.clone_from(&preset.preset);
    // The preset's skip belongs to its seed. A script with another seed draws the weights right
    // after the split.
    if spec.seed.is_some() {
        spec.generator_skip.get_or_insert(0);
    }
    // The preset's split belongs to its data set.
    let data = &mut spec.data;
    let other = data.dataset.is_some() && data.dataset != preset.data.dataset;
    if other || data.synthetic.is_some() {
        data.split.get_or_insert(OTHER_SPLIT);
    }
    // Validation takes batches of the training's size where the request sets only that one.
    let evaluation = &mut spec.evaluation;
    evaluation.batch_size = evaluation.batch_size.or(spec.batch_size);
    spec.augmentation = augmentation::fill(spec.augmentation, preset.augmentation);
    let mut spec = spec.or(preset.clone());
    if spec.data.dataset.as_deref() == Some("synthetic") {
        let own = spec.data.synthetic.unwrap_or_default();
        spec.data.synthetic = Some(own.or(default_synthetic()));
    }
    // Of another kind than the preset's.
    spec.optimizer = spec.optimizer.map(|own| own.or(default_optimizer(&own)));
    spec.schedule = spec.schedule.map(|own| own.or(default_schedule(&own)));
    let own = &mut spec.architecture;
    if let Some(Ok(Activation::LeakyRelu { negative_slope })) = own.activation {
        own.negative_slope.get_or_insert(negative_slope);
    }
    spec
}

fn default_synthetic() -> SyntheticRequest {
    SyntheticRequest {
        train_images: u32::try_from(DEFAULT_SYNTHETIC.train).ok(),
        test_images: u32::try_from(DEFAULT_SYNTHETIC.test).ok(),
        seed: Some(DEFAULT_SYNTHETIC.seed),
    }
}

/// The defaults of `torch.optim.SGD` and `torch.optim.AdamW`.
fn default_optimizer(kind: &OptimizerRequest) -> OptimizerRequest {
    match kind {
        OptimizerRequest::Sgd(_) => OptimizerRequest::Sgd(SgdRequest {
            learning_rate: Some(1e-3),
            momentum: Some(0.0),
            nesterov: Some(false),
            weight_decay: Some(0.0),
        }),
        OptimizerRequest::AdamW(_) => OptimizerRequest::AdamW(AdamWRequest {
            learning_rate: Some(1e-3),
            beta1: Some(0.9),
            beta2: Some(0.999),
            epsilon: Some(1e-8),
            weight_decay: Some(0.01),
        }),
    }
}

fn default_schedule(kind: &ScheduleRequest) -> ScheduleRequest {
    match kind {
        ScheduleRequest::Constant => ScheduleRequest::Constant,
        ScheduleRequest::Step(_) => ScheduleRequest::Step(StepRequest {
            every_epochs: Some(1),
            factor: Some(0.5),
        }),
        ScheduleRequest::Cosine(_) => ScheduleRequest::Cosine(CosineRequest {
            warmup: Some(0.0),
            final_factor: Some(0.0),
        }),
        ScheduleRequest::OneCycle(_) => ScheduleRequest::OneCycle(OneCycleRequest {
            up: Some(0.3),
            initial_factor: Some(0.04),
            final_factor: Some(0.0),
        }),
    }
}
