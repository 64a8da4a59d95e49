//! Runs one training here and in PyTorch and compares the two: split, initial weights and orders
//! exactly, losses within a tolerance, final weights to the byte.

use crate::support::{Record, notebook_plan, script};
use digits_checkpoint::Layer;
use digits_dataset::{Dataset, idx};
use digits_trainer::train::{
    AdamWOptions, InitialDraws, Optimizer, Plan, RngStream, Schedule, SgdOptions, Split, run,
    steps_per_epoch,
};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Largest difference of a mean loss, in nats.
const LOSS_TOLERANCE: f64 = 1e-5;

/// Largest difference of a weight if the learning rates of the two differ by rounding.
const WEIGHT_TOLERANCE: f32 = 1e-5;

/// One training to compare.
pub struct Case<'a> {
    pub name: &'static str,
    pub plan: Plan,
    pub data: &'a Dataset,
}

impl Case<'_> {
    /// PyTorch's cosine schedules are recursive and round at each step.
    fn is_exact(&self) -> bool {
        matches!(
            self.plan.schedule,
            Schedule::Constant | Schedule::Step { .. }
        )
    }
}

/// Runs the script once for all cases, because torch takes seconds to load, and compares each.
pub fn compare_all(python: &Path, cases: &[Case<'_>]) {
    let folders: Vec<_> = cases.iter().map(prepare).collect();
    let output = Command::new(python)
        .arg(script("reference_training.py"))
        .args(folders.iter().map(tempfile::TempDir::path))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the script failed: {complaint}");
    for (case, folder) in cases.iter().zip(&folders) {
        compare(case, folder.path());
    }
}

/// A folder with a case's data and spec.
fn prepare(case: &Case<'_>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    for (part, set) in [("train", &case.data.train), ("t10k", &case.data.test)] {
        idx::write_images(&file(&format!("{part}-images-idx3-ubyte")), &set.images).unwrap();
        idx::write_labels(&file(&format!("{part}-labels-idx1-ubyte")), &set.labels).unwrap();
    }
    std::fs::write(file("spec.json"), spec(&case.plan).to_string()).unwrap();
    if let Some(first) = &case.plan.initial_weights {
        let numbers = bits(first.layers());
        let bytes: Vec<u8> = numbers.iter().flat_map(|bits| bits.to_ne_bytes()).collect();
        std::fs::write(file("first.f32"), bytes).unwrap();
    }
    folder
}

/// The plan as the script's spec.
fn spec(plan: &Plan) -> Value {
    let optimizer = match plan.optimizer {
        Optimizer::Sgd(SgdOptions {
            momentum,
            nesterov,
            weight_decay,
            ..
        }) => json!({"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}),
        Optimizer::AdamW(AdamWOptions {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            ..
        }) => json!({"betas": [beta1, beta2], "eps": epsilon, "weight_decay": weight_decay}),
    };
    let schedule = match plan.schedule {
        Schedule::Constant => Value::Null,
        Schedule::Step {
            every_epochs,
            factor,
        } => json!({"step": {"every_epochs": every_epochs, "factor": factor}}),
        Schedule::Cosine {
            warmup,
            final_factor,
        } => json!({"cosine": {"warmup": warmup, "final_factor": final_factor}}),
        Schedule::OneCycle {
            up,
            initial_factor,
            final_factor,
        } => json!({"one_cycle": {
            "up": up, "initial_factor": initial_factor, "final_factor": final_factor,
        }}),
    };
    let terms = plan.regularization;
    assert_eq!(terms.dropout, 0.0, "its masks are not PyTorch's");
    let split = match plan.split {
        Split::Counts { train, validation } => json!([train, validation]),
        Split::Fractions { train, validation } => json!([train, validation]),
    };
    let activation = json!(plan.architecture.activation);
    json!({
        "seed": plan.seed, "generator_skip": plan.generator_skip, "split": split, "split_seed": plan.split_seed,
        "hidden": plan.architecture.hidden, "activation": activation["activation"], "negative_slope": activation["negative_slope"],
        "mean": plan.input.mean, "std": plan.input.std,
        "batch_size": plan.batch_size, "evaluation_batch_size": plan.evaluation_batch_size,
        "epochs": plan.epochs, "every_steps": plan.validate_every,
        "learning_rate": plan.optimizer.learning_rate(), "optimizer": optimizer, "schedule": schedule,
        "label_smoothing": terms.label_smoothing, "max_gradient_norm": terms.max_gradient_norm,
        "ema_decay": terms.ema_decay,
        "start_from": plan.initial_weights.as_ref().map(|_| "first.f32"),
    })
}

fn words(folder: &Path, name: &str) -> Vec<u32> {
    let bytes = std::fs::read(folder.join(name)).unwrap();
    let word = |bytes: &[u8]| u32::from_ne_bytes(bytes.try_into().unwrap());
    bytes.chunks_exact(4).map(word).collect()
}

/// All parameters in PyTorch's order, as bits.
fn bits(layers: &[Layer]) -> Vec<u32> {
    layers
        .iter()
        .flat_map(|layer| layer.weight.iter().chain(&layer.bias))
        .map(|number| number.to_bits())
        .collect()
}

fn equal(what: &str, case: &str, ours: &[u32], theirs: &[u32]) {
    assert_eq!(ours.len(), theirs.len(), "{case}: {what}");
    let different = ours.iter().zip(theirs).filter(|(a, b)| a != b).count();
    assert_eq!(
        different,
        0,
        "{case}: {different} of {} of the {what} differ",
        ours.len()
    );
}

/// Compares final weights that may differ because the learning rates are rounded differently.
fn close(case: &str, layers: &[Layer], theirs: &[u32]) {
    let ours = bits(layers);
    assert_eq!(ours.len(), theirs.len(), "{case}");
    let pairs = ours.iter().zip(theirs);
    let largest = pairs
        .map(|(ours, theirs)| (f32::from_bits(*ours) - f32::from_bits(*theirs)).abs())
        .fold(0.0, f32::max);
    assert!(largest < WEIGHT_TOLERANCE, "{case}: {largest:e}");
}

fn compare(case: &Case<'_>, folder: &Path) {
    let exact = case.is_exact();
    let Case {
        name: case,
        plan,
        data,
    } = case;
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
    };
    let (rows, summary) = (read("rows.json"), read("summary.json"));
    let rows = rows.as_array().unwrap();

    let InitialDraws {
        split,
        layers,
        mut rng,
    } = RngStream::begin(plan, data.train.images.count).unwrap();
    equal("split", case, &split.train, &words(folder, "train.u32"));
    equal(
        "validation part",
        case,
        &split.validation,
        &words(folder, "validation.u32"),
    );
    equal(
        "first weights",
        case,
        &bits(&layers),
        &words(folder, "initial.f32"),
    );
    let rows_per_epoch =
        steps_per_epoch(split.train.len(), plan.batch_size).div_ceil(plan.validate_every as u64);
    let mut orders = Vec::new();
    for _ in 0..plan.epochs {
        let order = rng.order(split.train.len());
        orders.extend(order.iter().map(|&at| split.train[at as usize]));
        (0..rows_per_epoch).for_each(|_| rng.skip_evaluation());
    }
    equal("orders", case, &orders, &words(folder, "orders.u32"));

    let mut record = Record::default();
    let outcome = run(plan, data, None, &mut record).unwrap();
    assert_eq!(record.rows.len(), rows.len(), "{case}");
    let mut largest = 0.0_f64;
    for (ours, theirs) in record.rows.iter().zip(rows) {
        let place = format!("{case}, epoch {} step {}", ours.epoch, ours.step_in_epoch);
        assert_eq!(theirs["epoch"], ours.epoch, "{place}");
        assert_eq!(theirs["step_in_epoch"], ours.step_in_epoch, "{place}");
        for (name, loss) in [
            ("train_loss", ours.train_loss),
            ("loss_batch_mean", ours.validation.loss_batch_mean),
        ] {
            let difference = (theirs[name].as_f64().unwrap() - loss).abs();
            assert!(
                difference < LOSS_TOLERANCE,
                "{place}: {name} differs by {difference:e}"
            );
            largest = largest.max(difference);
        }
        let rate = theirs["learning_rate"].as_f64().unwrap();
        let difference = (ours.learning_rate - rate).abs() / plan.optimizer.learning_rate();
        assert!(
            difference < 1e-12,
            "{place}: the rate differs by {difference:e}"
        );
        let difference = theirs["correct"]
            .as_u64()
            .unwrap()
            .abs_diff(ours.validation.correct);
        assert!(difference <= 1, "{place}: {difference} answers differ");
    }
    let test = outcome.test.unwrap();
    let theirs = summary["test"]["loss_batch_mean"].as_f64().unwrap();
    assert!(
        (test.loss_batch_mean - theirs).abs() < LOSS_TOLERANCE,
        "{case}: test"
    );
    let layers = &record.snapshots.last().unwrap().layers;
    let theirs = words(folder, "final.f32");
    if exact {
        equal("final weights", case, &bits(layers), &theirs);
    } else {
        close(case, layers, &theirs);
    }
    println!("{case}: equal; largest difference of a loss {largest:.1e}");
}

/// A plan of a few quick epochs.
pub fn quick(data: &Dataset) -> Plan {
    Plan {
        seed: 4,
        generator_skip: 0,
        epochs: 3,
        validate_every: 7,
        ..notebook_plan(data)
    }
}

pub fn sgd(learning_rate: f64, momentum: f64, nesterov: bool, weight_decay: f64) -> Optimizer {
    Optimizer::Sgd(SgdOptions {
        learning_rate,
        momentum,
        nesterov,
        weight_decay,
    })
}
