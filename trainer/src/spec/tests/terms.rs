//! Optimizers and regularization: what fills them, and what is refused.

use super::request::{AdamWRequest, RegularizationRequest};
use super::*;
use crate::train;

fn adamw(change: impl FnOnce(&mut AdamWRequest)) -> JobRequest {
    let mut adamw = AdamWRequest::default();
    change(&mut adamw);
    spec(|spec| spec.optimizer = Some(OptimizerRequest::AdamW(adamw)))
}

fn terms(change: impl FnOnce(&mut RegularizationRequest)) -> JobRequest {
    let mut terms = RegularizationRequest::default();
    change(&mut terms);
    spec(|spec| spec.regularization = terms)
}

fn patience(rows: u32) -> JobRequest {
    spec(|s| s.patience_rows = Some(rows))
}

#[test]
fn unset_optimizer_fields_are_pytorchs_defaults() {
    let resolved = accepted(&adamw(|a| a.beta2 = Some(0.99)));
    assert_eq!(
        resolved.plan.train.optimizer,
        train::Optimizer::AdamW(train::AdamWOptions {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.01,
        })
    );
    let all = terms(|t| {
        t.label_smoothing = Some(0.1);
        t.dropout = Some(0.2);
        t.ema_decay = Some(0.99);
        t.max_gradient_norm = Some(1.0);
    });
    let plan = accepted(&all).plan.train;
    assert_eq!(
        plan.regularization,
        train::Regularization {
            label_smoothing: 0.1,
            dropout: 0.2,
            ema_decay: 0.99,
            max_gradient_norm: 1.0,
        }
    );
    let plan = accepted(&patience(3)).plan.train;
    assert_eq!(plan.patience_rows, Some(3));
}

#[test]
fn the_notebook_has_no_regularization() {
    let plan = accepted(&JobRequest::default()).plan.train;
    assert_eq!(plan.regularization, train::Regularization::default());
    assert_eq!((plan.patience_rows, plan.calibrate), (None, false));
    let calibrated = spec(|spec| spec.calibrate = Some(true));
    let plan = accepted(&calibrated).plan.train;
    assert!(plan.calibrate);
}

#[test]
fn every_other_preset_calibrates() {
    for preset in presets() {
        let expected = preset.name != "notebook";
        assert_eq!(preset.spec.calibrate, Some(expected), "{}", preset.name);
        let off = JobRequest {
            preset: preset.name.clone(),
            calibrate: Some(false),
            ..JobRequest::default()
        };
        let resolved = accepted(&off);
        assert!(!resolved.plan.train.calibrate, "{}", preset.name);
    }
}

#[test]
fn every_violation_names_its_field() {
    let linear = JobRequest {
        regularization: RegularizationRequest {
            dropout: Some(0.5),
            ..RegularizationRequest::default()
        },
        ..hidden(&[])
    };
    check_all(vec![
        (
            adamw(|a| a.learning_rate = Some(0.0)),
            &["adamw.learning_rate"],
        ),
        (adamw(|a| a.beta1 = Some(1.0)), &["adamw.beta1"]),
        (adamw(|a| a.beta2 = Some(-0.1)), &["adamw.beta2"]),
        (adamw(|a| a.epsilon = Some(0.0)), &["adamw.epsilon"]),
        (adamw(|a| a.epsilon = Some(1e-40)), &["adamw.epsilon"]),
        (
            adamw(|a| a.weight_decay = Some(f64::NAN)),
            &["adamw.weight_decay"],
        ),
        (
            terms(|t| t.label_smoothing = Some(1.0)),
            &["regularization.label_smoothing"],
        ),
        (
            terms(|t| t.dropout = Some(1.0)),
            &["regularization.dropout"],
        ),
        (
            terms(|t| t.dropout = Some(f64::NAN)),
            &["regularization.dropout"],
        ),
        (linear, &["regularization.dropout"]),
        (
            terms(|t| t.ema_decay = Some(-0.5)),
            &["regularization.ema_decay"],
        ),
        (
            terms(|t| t.max_gradient_norm = Some(f64::INFINITY)),
            &["regularization.max_gradient_norm"],
        ),
        (
            terms(|t| t.max_gradient_norm = Some(-1.0)),
            &["regularization.max_gradient_norm"],
        ),
        (patience(0), &["early_stopping.patience_rows"]),
    ]);
}
