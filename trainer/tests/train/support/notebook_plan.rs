//! The training plan of the notebook, which tests and benchmarks start from.

use digits_checkpoint::manifest::{Activation, Architecture, InputSpec};
use digits_dataset::Dataset;
use digits_trainer::train::{
    Device, Optimizer, Plan, Precision, PublishPolicy, Regularization, Schedule, SgdOptions, Split,
};

/// The notebook's plan for a data set.
pub fn notebook_plan(data: &Dataset) -> Plan {
    let InputSpec { height, width, .. } = input(data);
    Plan {
        architecture: Architecture {
            input_size: height * width,
            hidden: vec![10],
            classes: data.classes(),
            activation: Activation::Relu,
        },
        input: input(data),
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
        max_threads: usize::MAX,
        publish: PublishPolicy::Final,
        regularization: Regularization::default(),
        patience_rows: None,
        calibrate: false,
    }
}

fn input(data: &Dataset) -> InputSpec {
    InputSpec {
        height: data.train.images.height,
        width: data.train.images.width,
        scale: 255.0,
        mean: 0.0,
        std: 1.0,
    }
}
