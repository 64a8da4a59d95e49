//! Comparison with PyTorch of the options that the notebook does not use.

use crate::reference_support::{Case, compare_all, quick, sgd};
use crate::support::{patterns, python_with_torch};
use digits_checkpoint::manifest::Activation;
use digits_testing::skip;
use digits_trainer::train::{AdamWOptions, Optimizer, Plan, Regularization, Schedule};

/// AdamW, schedules, gradient clipping, label smoothing, weight averaging.
#[test]
fn options_beyond_the_notebook_equal_pytorch() {
    let Some(python) = python_with_torch() else {
        return skip(
            "options_beyond_the_notebook_equal_pytorch",
            "Python has no torch, numpy and safetensors; set DIGITS_PYTHON",
        );
    };
    let data = patterns(1_000, 28, 28, 10);
    let plan = quick(&data);
    let adamw = |learning_rate, weight_decay| {
        Optimizer::AdamW(AdamWOptions {
            learning_rate,
            beta1: 0.9,
            beta2: 0.98,
            epsilon: 1e-8,
            weight_decay,
        })
    };
    let case = |name, change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        let data = &data;
        Case { name, plan, data }
    };
    let smooth = Regularization {
        label_smoothing: 0.1,
        ..Regularization::default()
    };
    compare_all(
        &python,
        &[
            case("AdamW", &|plan| {
                plan.optimizer = adamw(1e-3, 0.05);
                plan.architecture.hidden = vec![33, 17];
            }),
            case("AdamW without decay, steps of the rate", &|plan| {
                plan.optimizer = adamw(1e-2, 0.0);
                plan.schedule = Schedule::Step {
                    every_epochs: 1,
                    factor: 0.3,
                };
            }),
            case("clipped", &|plan| {
                plan.optimizer = sgd(0.5, 0.9, false, 0.0);
                plan.regularization.max_gradient_norm = 0.2;
            }),
            case("smoothed", &|plan| {
                plan.optimizer = sgd(0.1, 0.9, true, 1e-3);
                plan.regularization = smooth;
                plan.architecture.hidden = vec![20];
            }),
            case("averaged", &|plan| {
                plan.optimizer = sgd(0.1, 0.5, false, 0.0);
                plan.regularization.ema_decay = 0.9;
            }),
            case("all of it", &|plan| {
                plan.optimizer = adamw(3e-3, 0.01);
                plan.architecture.hidden = vec![24, 12];
                plan.architecture.activation = Activation::Gelu;
                plan.regularization = Regularization {
                    ema_decay: 0.95,
                    max_gradient_norm: 0.5,
                    ..smooth
                };
            }),
            case("cosine", &|plan| {
                plan.optimizer = sgd(0.1, 0.9, false, 0.0);
                plan.validate_every = 1;
                plan.schedule = Schedule::Cosine {
                    warmup: 0.0,
                    final_factor: 0.1,
                };
            }),
            case("cosine after a warm-up", &|plan| {
                plan.optimizer = sgd(0.1, 0.9, false, 0.0);
                plan.validate_every = 1;
                plan.schedule = Schedule::Cosine {
                    warmup: 0.2,
                    final_factor: 0.0,
                };
            }),
            case("one cycle", &|plan| {
                plan.optimizer = sgd(0.1, 0.9, false, 0.0);
                plan.validate_every = 1;
                plan.schedule = Schedule::OneCycle {
                    up: 0.3,
                    initial_factor: 0.04,
                    final_factor: 0.01,
                };
            }),
        ],
    );
}
