//! The text whose SHA-256 named a training in bundles before fingerprints had a version.
//!
//! Those versions hashed the `Debug` form of the plan, with device `Cpu` and one thread in place of
//! the plan's own. This module writes that form by hand, so that bundles of running jobs survive
//! an upgrade and renamings in the code. It never changes; only the left sides of its patterns
//! follow the code. Standard types (numbers, `bool`, `Option`, `Vec`) are written by their `Debug`.

use crate::train::{
    AdamWOptions, Augmentation, Optimizer, Plan, Precision, PublishPolicy, Regularization,
    Schedule, SgdOptions, Split,
};
use digits_checkpoint::manifest::{Activation, Architecture, InputSpec};

/// The text for a plan, or `None` for a plan that uses an option which those versions did not have:
/// a field that is added to one of the structs below returns `None` unless it is without effect.
pub(super) fn text(
    plan: &Plan,
    initial_weights: Option<&str>,
    dataset_digest: &str,
) -> Option<String> {
    let Plan {
        architecture,
        input,
        split,
        split_seed,
        seed,
        generator_skip,
        initial_weights: _,
        batch_size,
        epochs,
        optimizer,
        schedule,
        validate_every,
        evaluation_batch_size,
        augmentation,
        device: _,
        precision,
        max_threads: _,
        publish,
        regularization,
        patience_rows,
        calibrate,
    } = plan;
    let architecture = architecture_text(architecture)?;
    let input = input_text(input);
    let split = split_text(split);
    let first_weights = match initial_weights {
        Some(digest) => format!("Some(FirstWeights({digest}))"),
        None => "None".to_owned(),
    };
    let optimizer = optimizer_text(optimizer);
    let schedule = schedule_text(schedule);
    let augmentation = match augmentation {
        Some(augmentation) => format!("Some({})", augmentation_text(augmentation)?),
        None => "None".to_owned(),
    };
    let precision = match precision {
        Precision::Float32 => "Float32",
        Precision::Tf32 => "Tf32",
        Precision::Bfloat16 => "Bfloat16",
    };
    let publish = match publish {
        PublishPolicy::EveryEpoch => "EveryEpoch",
        PublishPolicy::Best => "Best",
        PublishPolicy::Final => "Final",
    };
    let regularization = regularization_text(regularization);
    Some(format!(
        "Plan {{ architecture: {architecture}, input: {input}, split: {split}, \
         split_seed: {split_seed:?}, seed: {seed:?}, generator_skip: {generator_skip:?}, \
         first_weights: {first_weights}, batch_size: {batch_size:?}, epochs: {epochs:?}, \
         optimizer: {optimizer}, schedule: {schedule}, validate_every: {validate_every:?}, \
         evaluation_batch_size: {evaluation_batch_size:?}, augmentation: {augmentation}, \
         device: Cpu, precision: {precision}, threads_at_most: 1, publish: {publish}, \
         regularization: {regularization}, patience_rows: {patience_rows:?}, \
         calibrate: {calibrate:?} }} on {dataset_digest}"
    ))
}

fn architecture_text(architecture: &Architecture) -> Option<String> {
    let Architecture {
        input_size,
        hidden,
        classes,
        activation,
    } = architecture;
    let activation = match activation {
        Activation::Relu => "Relu",
        Activation::ScaledTanh => "ScaledTanh",
        Activation::Gelu => "Gelu",
        Activation::Tanh | Activation::Sigmoid | Activation::LeakyRelu { .. } => return None,
    };
    Some(format!(
        "Architecture {{ input_size: {input_size:?}, hidden: {hidden:?}, classes: {classes:?}, \
         activation: {activation} }}"
    ))
}

fn input_text(input: &InputSpec) -> String {
    let InputSpec {
        height,
        width,
        scale,
        mean,
        std,
    } = input;
    format!(
        "InputSpec {{ height: {height:?}, width: {width:?}, scale: {scale:?}, mean: {mean:?}, \
         std: {std:?} }}"
    )
}

fn split_text(split: &Split) -> String {
    match split {
        Split::Counts { train, validation } => {
            format!("Counts {{ train: {train:?}, validation: {validation:?} }}")
        }
        Split::Fractions { train, validation } => {
            format!("Fractions {{ train: {train:?}, validation: {validation:?} }}")
        }
    }
}

fn optimizer_text(optimizer: &Optimizer) -> String {
    match optimizer {
        Optimizer::Sgd(SgdOptions {
            learning_rate,
            momentum,
            nesterov,
            weight_decay,
        }) => format!(
            "Sgd {{ learning_rate: {learning_rate:?}, momentum: {momentum:?}, \
             nesterov: {nesterov:?}, weight_decay: {weight_decay:?} }}"
        ),
        Optimizer::AdamW(AdamWOptions {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
        }) => format!(
            "AdamW {{ learning_rate: {learning_rate:?}, beta1: {beta1:?}, beta2: {beta2:?}, \
             epsilon: {epsilon:?}, weight_decay: {weight_decay:?} }}"
        ),
    }
}

fn schedule_text(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Constant => "Constant".to_owned(),
        Schedule::Step {
            every_epochs,
            factor,
        } => format!("Step {{ every_epochs: {every_epochs:?}, factor: {factor:?} }}"),
        Schedule::Cosine {
            warmup,
            final_factor,
        } => format!("Cosine {{ warmup: {warmup:?}, final_factor: {final_factor:?} }}"),
        Schedule::OneCycle {
            up,
            initial_factor,
            final_factor,
        } => format!(
            "OneCycle {{ up: {up:?}, initial_factor: {initial_factor:?}, \
             final_factor: {final_factor:?} }}"
        ),
    }
}

fn augmentation_text(augmentation: &Augmentation) -> Option<String> {
    let Augmentation {
        rotation_degrees,
        shear_degrees,
        scale_min,
        scale_max,
        shift_pixels,
        elastic_alpha,
        elastic_sigma,
        noise,
        pen,
        outlier_share,
        styles,
        letters,
        digits: _,
        half_angles,
    } = augmentation;
    if *styles != 0.0 || *letters != 0.0 {
        return None;
    }
    Some(format!(
        "Augmentation {{ rotation_degrees: {rotation_degrees:?}, \
         shear_degrees: {shear_degrees:?}, scale_min: {scale_min:?}, scale_max: {scale_max:?}, \
         shift_pixels: {shift_pixels:?}, elastic_alpha: {elastic_alpha:?}, \
         elastic_sigma: {elastic_sigma:?}, noise: {noise:?}, pen: {pen:?}, \
         outlier_share: {outlier_share:?}, half_angles: {half_angles:?} }}"
    ))
}

fn regularization_text(regularization: &Regularization) -> String {
    let Regularization {
        label_smoothing,
        dropout,
        ema_decay,
        max_gradient_norm,
    } = regularization;
    format!(
        "Regularization {{ label_smoothing: {label_smoothing:?}, dropout: {dropout:?}, \
         ema_decay: {ema_decay:?}, max_gradient_norm: {max_gradient_norm:?} }}"
    )
}
