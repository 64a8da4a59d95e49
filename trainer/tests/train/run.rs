//! A training from its plan to its end: what it reports, when it stops, how it fails, which
//! snapshots it publishes.

use crate::support::{Record, notebook_plan, patterns};
use digits_checkpoint::manifest::Activation;
use digits_trainer::train::{
    Device, Finished, Optimizer, Plan, PublishPolicy, Schedule, SgdOptions, Split, TrainError,
    resolve_device, run,
};

/// A training of 4 epochs of 15 steps on small patterns.
fn small() -> (digits_dataset::Dataset, Plan) {
    let data = patterns(300, 8, 8, 4);
    let plan = Plan {
        seed: 1,
        generator_skip: 0,
        split: Split::Counts {
            train: 240,
            validation: 60,
        },
        batch_size: 16,
        epochs: 4,
        validate_every: 5,
        evaluation_batch_size: 50,
        optimizer: sgd(0.05),
        ..notebook_plan(&data)
    };
    (data, plan)
}

fn sgd(learning_rate: f64) -> Optimizer {
    Optimizer::Sgd(SgdOptions {
        learning_rate,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.0,
    })
}

#[test]
fn a_training_learns_and_reports_every_step() {
    let (data, plan) = small();
    let mut record = Record::default();
    let outcome = run(&plan, &data, None, &mut record).unwrap();
    let started = record.started.unwrap();
    assert_eq!((started.steps, started.steps_per_epoch), (60, 15));
    assert_eq!((started.train_images, started.validation_images), (240, 60));
    assert_eq!(started.split_digest, outcome.split_digest);
    assert!(record.steps.into_iter().eq(1..=60));
    let places: Vec<_> = record
        .rows
        .iter()
        .map(|row| (row.epoch, row.step_in_epoch))
        .collect();
    assert_eq!(places[..4], [(1, 1), (1, 6), (1, 11), (2, 1)]);
    assert_eq!(places.len(), 12);
    assert_eq!(outcome.finished, Finished::Completed);
    let test = outcome.test.unwrap();
    assert_eq!(test.images, 76);
    assert!(test.accuracy() > 0.9, "accuracy {}", test.accuracy());
}

#[test]
fn equal_plans_give_equal_bytes() {
    let (data, plan) = small();
    let train = |seed| {
        let mut record = Record::default();
        run(
            &Plan {
                seed,
                ..plan.clone()
            },
            &data,
            None,
            &mut record,
        )
        .unwrap();
        record.snapshots.pop().unwrap()
    };
    let (first, second, other) = (train(1), train(1), train(2));
    assert_eq!(first.layers, second.layers);
    assert_eq!(first.exam.logits, second.exam.logits);
    assert_ne!(first.layers, other.layers);
}

#[test]
fn the_publish_policy_selects_the_snapshots() {
    let (data, plan) = small();
    let epochs = |publish, rate| {
        let plan = Plan {
            publish,
            optimizer: sgd(rate),
            ..plan.clone()
        };
        let mut record = Record::default();
        run(&plan, &data, None, &mut record).unwrap();
        record.snapshots
    };
    let numbers = |publish, rate| {
        epochs(publish, rate)
            .iter()
            .map(|s| s.epoch)
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(PublishPolicy::EveryEpoch, 0.05), [1, 2, 3, 4]);
    assert_eq!(numbers(PublishPolicy::Final, 0.05), [4]);
    // At this learning rate some epochs are worse than the one before.
    let best = epochs(PublishPolicy::Best, 2.0);
    let losses: Vec<f64> = best.iter().map(|s| s.validation.unwrap().loss).collect();
    assert!(
        losses.windows(2).all(|pair| pair[1] < pair[0]),
        "{losses:?}"
    );
    let all = epochs(PublishPolicy::EveryEpoch, 0.05);
    assert!(all[..3].iter().all(|snapshot| snapshot.test.is_none()));
    assert!(all[3].test.is_some());
    assert_eq!(all[3].step, 60);
}

#[test]
fn the_exam_holds_validation_images_blank_saturated_and_noise() {
    let (data, plan) = small();
    let mut record = Record::default();
    run(&plan, &data, None, &mut record).unwrap();
    let exam = record.snapshots.pop().unwrap().exam;
    assert_eq!(exam.images, 32);
    assert_eq!(exam.inputs.len(), 32 * 64);
    assert_eq!(exam.logits.len(), 32 * 4);
    assert!(exam.logits.iter().all(|logit| logit.is_finite()));
    let images: Vec<&[u8]> = exam.inputs.chunks(64).collect();
    assert!(
        images
            .iter()
            .any(|image| image.iter().all(|&pixel| pixel == 0))
    );
    assert!(
        images
            .iter()
            .any(|image| image.iter().all(|&pixel| pixel == 255))
    );
}

#[test]
fn a_training_stops_when_the_observer_returns_true() {
    let (data, plan) = small();
    for after in [0, 1, 20, 59] {
        let mut record = Record {
            stop_after: Some(after),
            ..Record::default()
        };
        let outcome = run(&plan, &data, None, &mut record).unwrap();
        assert_eq!(outcome.finished, Finished::Stopped, "{after}");
        assert_eq!(outcome.steps, after as u64);
        assert_eq!(outcome.test, None);
    }
}

#[test]
fn a_loss_that_is_not_finite_is_reported_with_its_step() {
    let (data, mut plan) = small();
    plan.optimizer = sgd(1e30);
    plan.validate_every = 1_000;
    plan.publish = PublishPolicy::EveryEpoch;
    let mut record = Record::default();
    match run(&plan, &data, None, &mut record) {
        Err(TrainError::NotFinite { step, epoch, loss }) => {
            assert!((1..=5).contains(&step), "step {step}");
            assert_eq!(epoch, 1);
            assert!(!loss.is_finite());
        }
        other => panic!("{other:?}"),
    }
    assert!(record.snapshots.is_empty());
}

#[test]
fn a_failed_publication_ends_the_training() {
    let (data, plan) = small();
    let mut record = Record {
        broken_storage: true,
        ..Record::default()
    };
    let error = run(&plan, &data, None, &mut record).unwrap_err();
    assert!(matches!(error, TrainError::Publish(_)), "{error}");
}

#[test]
fn plans_that_do_not_fit_are_refused_with_their_field() {
    let (data, plan) = small();
    let mut change: Vec<(&str, Plan)> = vec![
        (
            "batch_size",
            Plan {
                batch_size: 0,
                ..plan.clone()
            },
        ),
        (
            "batch_size",
            Plan {
                batch_size: 241,
                ..plan.clone()
            },
        ),
        (
            "epochs",
            Plan {
                epochs: 0,
                ..plan.clone()
            },
        ),
        (
            "evaluation.every_steps",
            Plan {
                validate_every: 0,
                ..plan.clone()
            },
        ),
        (
            "evaluation.batch_size",
            Plan {
                evaluation_batch_size: 0,
                ..plan.clone()
            },
        ),
    ];
    let mut other = plan.clone();
    other.split = Split::Counts {
        train: 300,
        validation: 1,
    };
    change.push(("data.split", other));
    let mut other = plan.clone();
    other.architecture.classes = 3;
    change.push(("data.dataset", other));
    let mut other = plan.clone();
    other.architecture.hidden = vec![5, 0];
    change.push(("architecture", other));
    let mut other = plan.clone();
    other.input.height = 9;
    change.push(("architecture", other));
    for (expected, plan) in change {
        match run(&plan, &data, None, &mut Record::default()) {
            Err(TrainError::Plan { field, message }) => assert_eq!(field, expected, "{message}"),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn every_activation_depth_and_schedule_trains() {
    let (data, plan) = small();
    let schedules = [
        Schedule::Step {
            every_epochs: 2,
            factor: 0.5,
        },
        Schedule::Cosine {
            warmup: 0.1,
            final_factor: 0.0,
        },
        Schedule::OneCycle {
            up: 0.3,
            initial_factor: 0.1,
            final_factor: 0.01,
        },
    ];
    let activations = [Activation::Tanh, Activation::ScaledTanh, Activation::Gelu];
    for (schedule, activation) in schedules.into_iter().zip(activations) {
        for hidden in [vec![], vec![12, 7], vec![6; 8]] {
            let mut plan = Plan {
                schedule,
                ..plan.clone()
            };
            plan.architecture.activation = activation;
            plan.architecture.hidden = hidden.clone();
            let mut record = Record::default();
            let outcome = run(&plan, &data, None, &mut record).unwrap();
            assert_eq!(outcome.steps, 60, "{hidden:?} {activation:?}");
            let rates: Vec<f64> = record.rows.iter().map(|row| row.learning_rate).collect();
            assert!(
                rates.iter().any(|rate| *rate != rates[0]),
                "{schedule:?}: {rates:?}"
            );
        }
    }
}

#[test]
fn only_names_of_existing_devices_resolve() {
    assert_eq!(resolve_device("cpu").unwrap(), Device::Cpu);
    for unknown in [
        "",
        "gpu",
        "cuda:",
        "cuda:-1",
        "cuda:x",
        "CPU",
        "cuda:99999999999999999999",
    ] {
        let found = resolve_device(unknown);
        assert!(
            matches!(found, Err(TrainError::UnknownDevice(_))),
            "{unknown:?}: {found:?}"
        );
    }
    // No machine has that many.
    let error = resolve_device("cuda:4096").unwrap_err();
    assert!(!matches!(error, TrainError::UnknownDevice(_)), "{error}");
    assert!(resolve_device("auto").is_ok());
}
