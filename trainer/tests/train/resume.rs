//! A training that is interrupted many times and resumes from its bundles gives the same
//! bytes, rows and snapshots as one without interruption.

use crate::support::{Record, notebook_plan, patterns};
use digits_checkpoint::manifest::Activation;
use digits_dataset::Dataset;
use digits_trainer::train::{
    AdamWOptions, Bundle, BundlePoint, Finished, Observer, Optimizer, Outcome, Plan, Precision,
    PublishFailed, PublishPolicy, Regularization, Row, Schedule, SgdOptions, Snapshot, Split,
    Started, TrainError, mt19937::Mt19937, run,
};
use std::collections::BTreeMap;

/// Stops after some steps, and takes a bundle there or some steps before, as a process that is
/// terminated or killed.
struct BrokenOff {
    record: Record,
    /// Steps to make.
    stop_after: usize,
    /// Steps after which the bundle is taken; beyond `stop_after`: where it stops.
    bundle_after: usize,
    bundle: Option<Bundle>,
}

impl Observer for BrokenOff {
    fn started(&mut self, started: &Started) {
        self.record.started(started);
    }

    fn row(&mut self, row: &Row) {
        self.record.row(row);
    }

    fn progress(&mut self, step: u64) {
        self.record.progress(step);
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), PublishFailed> {
        self.record.snapshot(snapshot)
    }

    fn should_stop(&self) -> bool {
        self.record.steps.len() >= self.stop_after
    }

    fn wants_bundle(&self, moment: BundlePoint) -> bool {
        match moment {
            BundlePoint::Step | BundlePoint::Epoch => self.record.steps.len() == self.bundle_after,
            BundlePoint::Stop => self.bundle.is_none(),
        }
    }

    fn bundle(&mut self, bundle: Bundle) {
        self.bundle = Some(bundle);
    }
}

/// Events by their step; an event that is repeated after a resume must be equal.
#[derive(Default)]
struct Told {
    rows: BTreeMap<u64, Row>,
    snapshots: BTreeMap<u32, Snapshot>,
}

impl Told {
    fn add(&mut self, record: Record) {
        for row in record.rows {
            if let Some(before) = self.rows.insert(row.step, row.clone()) {
                same_row(&before, &row);
            }
        }
        for snapshot in record.snapshots {
            if let Some(before) = self.snapshots.insert(snapshot.epoch, snapshot.clone()) {
                same_snapshot(&before, &snapshot);
            }
        }
    }
}

fn same_row(one: &Row, other: &Row) {
    let bits = |row: &Row| {
        [
            row.train_loss,
            row.learning_rate,
            row.validation.loss,
            row.validation.loss_batch_mean,
        ]
        .map(f64::to_bits)
    };
    assert_eq!(bits(one), bits(other), "step {}", one.step);
    assert_eq!(one.validation, other.validation);
    assert_eq!(
        (one.step, one.epoch, one.step_in_epoch),
        (other.step, other.epoch, other.step_in_epoch)
    );
}

fn same_snapshot(one: &Snapshot, other: &Snapshot) {
    assert_eq!(one.layers, other.layers, "epoch {}", one.epoch);
    assert_eq!(one.exam.logits, other.exam.logits);
    assert_eq!((one.step, one.test), (other.step, other.test));
    assert_eq!(one.validation, other.validation);
    assert_eq!(one.train_loss.to_bits(), other.train_loss.to_bits());
    assert_eq!(one.temperature.to_bits(), other.temperature.to_bits());
    assert_eq!(one.calibration, other.calibration);
}

/// Trains to the end in parts of random length; returns the number of parts.
fn interrupted(
    plan: &Plan,
    data: &Dataset,
    random: &mut Mt19937,
    told: &mut Told,
) -> (Outcome, usize) {
    let mut kept: Option<Vec<u8>> = None;
    for piece in 1.. {
        let stop_after = 1 + random.word() as usize % 25;
        let mut observer = BrokenOff {
            record: Record::default(),
            stop_after,
            bundle_after: random.word() as usize % (2 * stop_after),
            bundle: None,
        };
        let outcome = run(plan, data, kept.as_deref(), &mut observer).unwrap();
        let started = observer.record.started.clone().unwrap();
        if let Some(first) = observer.record.steps.first() {
            assert_eq!(*first, started.steps_done + 1);
        }
        told.add(observer.record);
        if outcome.finished == Finished::Completed {
            return (outcome, piece);
        }
        let bundle = observer.bundle.unwrap();
        assert!((started.steps_done..=outcome.steps).contains(&bundle.step));
        kept = Some(bundle.encode());
    }
    unreachable!()
}

/// Compares an interrupted training with an uninterrupted one.
fn check(name: &str, plan: &Plan, data: &Dataset, rounds: usize) {
    let mut whole = Record::default();
    let expected = run(plan, data, None, &mut whole).unwrap();
    let mut random = Mt19937::new(name.len() as u64);
    let mut pieces = 0;
    for _ in 0..rounds {
        let mut told = Told::default();
        let (outcome, count) = interrupted(plan, data, &mut random, &mut told);
        pieces += count;
        assert_eq!(outcome.test, expected.test, "{name}");
        assert_eq!(outcome.steps, expected.steps, "{name}");
        assert_eq!(told.rows.len(), whole.rows.len(), "{name}");
        for (ours, theirs) in told.rows.values().zip(&whole.rows) {
            same_row(ours, theirs);
        }
        assert_eq!(told.snapshots.len(), whole.snapshots.len(), "{name}");
        for (ours, theirs) in told.snapshots.values().zip(&whole.snapshots) {
            same_snapshot(ours, theirs);
        }
    }
    assert!(pieces > 3 * rounds, "{name}: {pieces} pieces");
}

/// Four epochs of 16 steps, the last of which is short.
fn small() -> (Dataset, Plan) {
    let data = patterns(300, 8, 8, 4);
    let plan = Plan {
        seed: 1,
        generator_skip: 0,
        split: Split::Counts {
            train: 245,
            validation: 55,
        },
        batch_size: 16,
        epochs: 4,
        validate_every: 5,
        evaluation_batch_size: 20,
        publish: PublishPolicy::EveryEpoch,
        ..notebook_plan(&data)
    };
    (data, plan)
}

fn sgd(momentum: f64, nesterov: bool, weight_decay: f64) -> Optimizer {
    Optimizer::Sgd(SgdOptions {
        learning_rate: 0.05,
        momentum,
        nesterov,
        weight_decay,
    })
}

fn sgd_of(learning_rate: f64, momentum: f64) -> Optimizer {
    Optimizer::Sgd(SgdOptions {
        learning_rate,
        momentum,
        nesterov: false,
        weight_decay: 0.0,
    })
}

#[test]
fn an_interrupted_training_gives_the_same_bytes() {
    let (data, plan) = small();
    let cosine = Schedule::Cosine {
        warmup: 0.2,
        final_factor: 0.1,
    };
    let step = Schedule::Step {
        every_epochs: 1,
        factor: 0.7,
    };
    for (name, hidden, activation, optimizer, schedule) in [
        (
            "linear",
            vec![],
            Activation::Relu,
            sgd(0.0, false, 0.0),
            Schedule::Constant,
        ),
        (
            "notebook's",
            vec![10],
            Activation::Relu,
            sgd(0.9, false, 0.0),
            Schedule::Constant,
        ),
        (
            "Nesterov",
            vec![12, 7],
            Activation::LeakyRelu {
                negative_slope: 0.1,
            },
            sgd(0.8, true, 1e-3),
            cosine,
        ),
        (
            "decay",
            vec![5, 6, 7],
            Activation::ScaledTanh,
            sgd(0.0, false, 1e-2),
            step,
        ),
    ] {
        let mut plan = Plan {
            optimizer,
            schedule,
            ..plan.clone()
        };
        plan.architecture.hidden = hidden;
        plan.architecture.activation = activation;
        check(name, &plan, &data, 8);
    }
}

/// Everything with a state of its own, or with new random numbers at each step, alone and together.
#[test]
fn a_resumed_training_keeps_every_state_besides_the_weights() {
    let (data, plan) = small();
    let adamw = Optimizer::AdamW(AdamWOptions {
        learning_rate: 0.01,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.1,
    });
    let terms = Regularization {
        label_smoothing: 0.1,
        dropout: 0.3,
        ema_decay: 0.8,
        max_gradient_norm: 0.5,
    };
    let hidden = |plan: &mut Plan| plan.architecture.hidden = vec![12, 7];
    let check = |name: &str, change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        check(name, &plan, &data, 6);
    };
    check("AdamW", &|plan| plan.optimizer = adamw);
    check("dropout", &|plan| {
        hidden(plan);
        plan.regularization.dropout = 0.4;
    });
    check("average", &|plan| plan.regularization.ema_decay = 0.9);
    check("clipped and smoothed", &|plan| {
        plan.regularization.max_gradient_norm = 0.1;
        plan.regularization.label_smoothing = 0.2;
    });
    check("calibrated", &|plan| plan.calibrate = true);
    check("bfloat16", &|plan| {
        hidden(plan);
        plan.precision = Precision::Bfloat16;
    });
    check("everything", &|plan| {
        hidden(plan);
        plan.optimizer = adamw;
        plan.regularization = terms;
        plan.patience_rows = Some(1_000);
        plan.calibrate = true;
    });
}

#[test]
fn early_stopping_ends_at_the_same_row_after_a_resume() {
    let (data, plan) = small();
    for (name, average) in [("patience", 0.0), ("patience, averaged", 0.5)] {
        let mut plan = Plan {
            optimizer: sgd_of(1.0, 0.5),
            // After three epochs nothing improves any more; the interruption comes during the
            // patience.
            schedule: Schedule::Step {
                every_epochs: 3,
                factor: 1e-12,
            },
            patience_rows: Some(12),
            epochs: 40,
            validate_every: 4,
            ..plan.clone()
        };
        plan.regularization.ema_decay = average;
        let mut record = Record::default();
        let outcome = run(&plan, &data, None, &mut record).unwrap();
        assert!(outcome.steps < 40 * 16, "{name}: it ends early");
        check(name, &plan, &data, 6);
    }
}

#[test]
fn the_best_loss_so_far_survives_a_resume() {
    let (data, plan) = small();
    // A learning rate at which some epochs are worse than the one before.
    let plan = Plan {
        publish: PublishPolicy::Best,
        optimizer: sgd_of(1.0, 0.5),
        epochs: 8,
        ..plan
    };
    check("best so far", &plan, &data, 8);
}

#[test]
fn any_interval_of_rows_survives_a_resume() {
    let (data, plan) = small();
    for validate_every in [1, 1_000] {
        let plan = Plan {
            validate_every,
            ..plan.clone()
        };
        check("rows", &plan, &data, 4);
    }
}

#[test]
fn a_foreign_bundle_is_refused_before_the_first_event() {
    let (data, plan) = small();
    let mut observer = BrokenOff {
        record: Record::default(),
        stop_after: 20,
        bundle_after: 10,
        bundle: None,
    };
    run(&plan, &data, None, &mut observer).unwrap();
    let bytes = observer.bundle.unwrap().encode();
    let other_data = patterns(301, 8, 8, 4);
    let other_plan = Plan {
        seed: 2,
        ..plan.clone()
    };
    let mut cut = bytes.clone();
    cut.truncate(bytes.len() / 2);
    for (plan, data, bytes) in [
        (&other_plan, &data, &bytes),
        (&plan, &other_data, &bytes),
        (&plan, &data, &cut),
        (&plan, &data, &Vec::new()),
    ] {
        let mut record = Record::default();
        let error = run(plan, data, Some(bytes), &mut record).unwrap_err();
        assert!(matches!(error, TrainError::Bundle(_)), "{error}");
        assert!(record.started.is_none());
    }
}
