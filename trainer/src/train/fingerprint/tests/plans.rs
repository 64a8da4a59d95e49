//! Plans that use every option and every variant, for the tests of the fingerprints.

use crate::train::{
    AdamWOptions, Augmentation, Device, InitialWeights, Optimizer, Plan, Precision, PublishPolicy,
    Regularization, Schedule, SgdOptions, Split,
};
use digits_checkpoint::Layer;
use digits_checkpoint::manifest::{Activation, Architecture, InputSpec};

/// The notebook's training: hardly an option is used.
pub(super) fn notebook() -> Plan {
    Plan {
        architecture: Architecture {
            input_size: 784,
            hidden: vec![10],
            classes: 10,
            activation: Activation::Relu,
        },
        input: InputSpec {
            height: 28,
            width: 28,
            scale: 255.0,
            mean: 0.0,
            std: 1.0,
        },
        split: Split::Fractions {
            train: 0.9,
            validation: 0.1,
        },
        split_seed: None,
        seed: 17,
        generator_skip: 15_962,
        initial_weights: None,
        batch_size: 64,
        epochs: 5,
        optimizer: Optimizer::Sgd(SgdOptions {
            learning_rate: 1e-3,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
        }),
        schedule: Schedule::Constant,
        validate_every: 100,
        evaluation_batch_size: 64,
        augmentation: None,
        device: Device::Cpu,
        precision: Precision::Float32,
        max_threads: 2,
        publish: PublishPolicy::Final,
        regularization: Regularization::default(),
        patience_rows: None,
        calibrate: false,
    }
}

/// Every option is used.
pub(super) fn every_option() -> Plan {
    Plan {
        architecture: Architecture {
            input_size: 64,
            hidden: vec![12, 7],
            classes: 4,
            activation: Activation::ScaledTanh,
        },
        input: InputSpec {
            height: 8,
            width: 8,
            scale: 255.0,
            mean: 0.1307,
            std: 0.3081,
        },
        split: Split::Counts {
            train: 245,
            validation: 55,
        },
        split_seed: Some(3),
        seed: u64::from(u32::MAX),
        generator_skip: 9,
        initial_weights: Some(InitialWeights::new(layers(0.25))),
        batch_size: 16,
        epochs: 4,
        optimizer: Optimizer::AdamW(AdamWOptions {
            learning_rate: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.1,
        }),
        schedule: Schedule::Step {
            every_epochs: 2,
            factor: 0.7,
        },
        validate_every: 5,
        evaluation_batch_size: 20,
        augmentation: Some(augmentation()),
        device: Device::Cuda(1),
        precision: Precision::Tf32,
        max_threads: 8,
        publish: PublishPolicy::EveryEpoch,
        regularization: Regularization {
            label_smoothing: 0.1,
            dropout: 0.3,
            ema_decay: 0.999,
            max_gradient_norm: 1e16,
        },
        patience_rows: Some(12),
        calibrate: true,
    }
}

/// The variants that the other two do not use.
pub(super) fn other_variants() -> Plan {
    let mut plan = Plan {
        optimizer: Optimizer::Sgd(SgdOptions {
            learning_rate: 0.1 + 0.2,
            momentum: 0.8,
            nesterov: true,
            weight_decay: 1e-5,
        }),
        schedule: Schedule::Cosine {
            warmup: 0.2,
            final_factor: 0.0,
        },
        augmentation: Some(Augmentation {
            elastic_alpha: 0.0,
            pen: false,
            half_angles: Vec::new(),
            ..augmentation()
        }),
        precision: Precision::Bfloat16,
        publish: PublishPolicy::Best,
        ..notebook()
    };
    plan.architecture.activation = Activation::Gelu;
    plan
}

/// A linear network and the last kind of schedule.
pub(super) fn linear() -> Plan {
    let mut plan = Plan {
        schedule: Schedule::OneCycle {
            up: 0.3,
            initial_factor: 0.04,
            final_factor: 1e-4,
        },
        generator_skip: 0,
        ..notebook()
    };
    plan.architecture.hidden = Vec::new();
    plan
}

pub(super) fn augmentation() -> Augmentation {
    Augmentation {
        rotation_degrees: 10.0,
        shear_degrees: 5.5,
        scale_min: 0.85,
        scale_max: 1.15,
        shift_pixels: 2.0,
        elastic_alpha: 36.0,
        elastic_sigma: 6.0,
        noise: 0.05,
        pen: true,
        outlier_share: 0.125,
        styles: 0.0,
        letters: 0.0,
        digits: Vec::new(),
        half_angles: vec![false, true, false, true],
    }
}

/// Weights of a network of one input and one output.
pub(super) fn layers(bias: f32) -> Vec<Layer> {
    vec![Layer {
        outputs: 1,
        inputs: 1,
        weight: vec![1.5],
        bias: vec![bias],
    }]
}
