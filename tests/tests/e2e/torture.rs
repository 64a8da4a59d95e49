//! Random SIGKILLs of the trainer and of worker processes, faults of what they use, and flipped bits
//! of what is served: no accepted job is lost, the results equal those of an undisturbed run, and
//! nothing wrong is served.
//!
//! `DIGITS_TORTURE_KILLS` sets the number of kills of the trainer, `DIGITS_TORTURE_JOBS` the number
//! of jobs in worker processes; `make torture` does hundreds, and prints a row for each trial.

mod bits;
mod faults;
mod table;

use crate::support::{mnist, torture::Torture};
use anyhow::{Context as _, Result};
use digits_e2e::specs;
use digits_proto::v1::{
    Activation, AdamW, ArchitectureSpec, AugmentationSpec, CosineSchedule, EarlyStoppingSpec,
    EvaluationSpec, HiddenLayers, JobSpec, OneCycleSchedule, PublishPolicy, PublishSpec,
    RegularizationSpec, Sgd,
    job_spec::{Optimizer, Schedule},
};
use std::time::{SystemTime, UNIX_EPOCH};

const KILLS: usize = 24;
const JOBS: usize = 6;

/// Jobs of about a second, each with a different part of the training state at risk.
fn jobs() -> Vec<JobSpec> {
    let publish = |policy: PublishPolicy| {
        Some(PublishSpec {
            policy: policy.into(),
        })
    };
    let hidden = |widths: &[u32], activation: Activation| {
        Some(ArchitectureSpec {
            hidden: Some(HiddenLayers {
                widths: widths.to_vec(),
            }),
            activation: activation.into(),
            ..ArchitectureSpec::default()
        })
    };
    let nesterov = JobSpec {
        optimizer: Some(Optimizer::Sgd(Sgd {
            learning_rate: Some(0.05),
            momentum: Some(0.8),
            nesterov: Some(true),
            weight_decay: Some(1e-4),
        })),
        evaluation: Some(EvaluationSpec {
            every_steps: Some(7),
            batch_size: None,
        }),
        publish: publish(PublishPolicy::Best),
        ..specs::synthetic(60)
    };
    let small_batches = JobSpec {
        architecture: hidden(&[64, 32], Activation::Gelu),
        schedule: Some(Schedule::Cosine(CosineSchedule {
            warmup: Some(0.1),
            final_factor: Some(0.01),
        })),
        // The last batch of an epoch is short.
        batch_size: Some(33),
        publish: publish(PublishPolicy::EveryEpoch),
        ..specs::synthetic(15)
    };
    let plain = JobSpec {
        optimizer: Some(Optimizer::Sgd(Sgd {
            learning_rate: Some(0.1),
            momentum: Some(0.0),
            ..Sgd::default()
        })),
        architecture: hidden(&[], Activation::Relu),
        evaluation: Some(EvaluationSpec {
            every_steps: Some(1),
            batch_size: None,
        }),
        publish: publish(PublishPolicy::Final),
        ..specs::synthetic(40)
    };
    vec![nesterov, small_batches, plain, regularized()]
}

/// Everything that draws random numbers per step, or keeps state beyond the weights.
fn regularized() -> JobSpec {
    JobSpec {
        optimizer: Some(Optimizer::Adamw(AdamW {
            learning_rate: Some(3e-3),
            weight_decay: Some(0.05),
            ..AdamW::default()
        })),
        schedule: Some(Schedule::OneCycle(OneCycleSchedule::default())),
        augmentation: Some(AugmentationSpec {
            rotation_degrees: Some(10.0),
            shift_pixels: Some(2.0),
            outlier_share: Some(0.1),
            ..AugmentationSpec::default()
        }),
        regularization: Some(RegularizationSpec {
            label_smoothing: Some(0.05),
            dropout: Some(0.2),
            ema_decay: Some(0.98),
            max_gradient_norm: Some(1.0),
        }),
        early_stopping: Some(EarlyStoppingSpec { patience_rows: 25 }),
        evaluation: Some(EvaluationSpec {
            every_steps: Some(11),
            batch_size: None,
        }),
        publish: Some(PublishSpec {
            policy: PublishPolicy::EveryEpoch.into(),
        }),
        calibrate: Some(true),
        ..specs::synthetic(20)
    }
}

/// The value of a variable.
fn number(variable: &str, default: usize) -> Result<usize> {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{variable} is a number")),
        Err(_) => Ok(default),
    }
}

/// Of random times and choices; failures print it.
fn seed() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn results_survive_random_sigkill() -> Result<()> {
    let kills = number("DIGITS_TORTURE_KILLS", KILLS)?;
    let mut specs = jobs();
    if mnist::for_test("killed_at_random_moments (the notebook's job)").is_some() {
        specs.push(specs::notebook());
    }
    let seed = seed()?;
    let summary = Torture::new(specs, seed)?
        .run(kills)
        .await
        .with_context(|| format!("seed {seed}"))?;
    assert!(summary.from_bundle >= kills / 8, "{summary:?}");
    table::row("the trainer is killed", &summary.done(), &summary.lost())
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_processes_survive_random_sigkill() -> Result<()> {
    let jobs_to_run = number("DIGITS_TORTURE_JOBS", JOBS)?;
    let workers = if jobs_to_run > JOBS { 4 } else { 2 };
    let seed = seed()?;
    let summary = Torture::new(jobs(), seed)?
        .run_in_processes(jobs_to_run, workers)
        .await
        .with_context(|| format!("seed {seed}"))?;
    assert_eq!(summary.jobs, jobs_to_run, "{summary:?}");
    assert!(summary.killed_workers > 0, "{summary:?}");
    let trial = format!("the trainer and its {workers} worker processes are killed");
    table::row(&trial, &summary.done(), &summary.lost())
}
