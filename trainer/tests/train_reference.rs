//! Our training beside the same training in PyTorch: division, first weights and orders exactly, losses
//! closely, final weights to the byte.
#![allow(clippy::unwrap_used)]

mod train_support;

use digits_checkpoint::Layer;
use digits_checkpoint::manifest::Activation;
use digits_dataset::{Dataset, idx};
use digits_trainer::train::{
    Beginning, Draws, FirstWeights, Optimizer, Plan, Split, run, steps_per_epoch,
};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use train_support::{Record, head, mnist, mnist_dir, notebook_plan, patterns, python_with_torch};

/// Largest difference of a mean loss, in nats.
const LOSS_TOLERANCE: f64 = 1e-5;

/// One training that both make.
struct Case<'a> {
    name: &'static str,
    plan: Plan,
    data: &'a Dataset,
}

/// Runs the script once for all cases, for torch takes seconds to load, and compares each.
fn compare_all(python: &Path, cases: &[Case<'_>]) {
    let folders: Vec<_> = cases.iter().map(prepare).collect();
    let output = Command::new(python)
        .arg(train_support::script("reference_training.py"))
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
    if let Some(first) = &case.plan.first_weights {
        let numbers = bits(first.layers());
        let bytes: Vec<u8> = numbers.iter().flat_map(|bits| bits.to_ne_bytes()).collect();
        std::fs::write(file("first.f32"), bytes).unwrap();
    }
    folder
}

/// The plan in the script's words.
fn spec(plan: &Plan) -> Value {
    let Optimizer::Sgd {
        learning_rate,
        momentum,
        nesterov,
        weight_decay,
    } = plan.optimizer
    else {
        panic!("the script knows SGD only");
    };
    let split = match plan.split {
        Split::Counts { train, validation } => json!([train, validation]),
        Split::Fractions { train, validation } => json!([train, validation]),
    };
    json!({
        "seed": plan.seed, "generator_skip": plan.generator_skip, "split": split, "split_seed": plan.split_seed,
        "hidden": plan.architecture.hidden, "activation": plan.architecture.activation,
        "mean": plan.input.mean, "std": plan.input.std,
        "batch_size": plan.batch_size, "evaluation_batch_size": plan.evaluation_batch_size,
        "epochs": plan.epochs, "every_steps": plan.validate_every, "learning_rate": learning_rate,
        "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay,
        "start_from": plan.first_weights.as_ref().map(|_| "first.f32"),
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

fn compare(case: &Case<'_>, folder: &Path) {
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

    let Beginning {
        division,
        layers,
        mut draws,
    } = Draws::begin(plan, data.train.images.count).unwrap();
    equal("split", case, &division.train, &words(folder, "train.u32"));
    equal(
        "validation part",
        case,
        &division.validation,
        &words(folder, "validation.u32"),
    );
    equal(
        "first weights",
        case,
        &bits(&layers),
        &words(folder, "initial.f32"),
    );
    let rows_per_epoch =
        steps_per_epoch(division.train.len(), plan.batch_size).div_ceil(plan.validate_every as u64);
    let mut orders = Vec::new();
    for _ in 0..plan.epochs {
        let order = draws.order(division.train.len());
        orders.extend(order.iter().map(|&at| division.train[at as usize]));
        (0..rows_per_epoch).for_each(|_| draws.evaluation());
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
    equal(
        "final weights",
        case,
        &bits(layers),
        &words(folder, "final.f32"),
    );
    println!("{case}: equal; largest difference of a loss {largest:.1e}");
}

/// A plan of a few quick epochs.
fn quick(data: &Dataset) -> Plan {
    Plan {
        seed: 4,
        generator_skip: 0,
        epochs: 3,
        validate_every: 7,
        ..notebook_plan(data)
    }
}

fn sgd(learning_rate: f64, momentum: f64, nesterov: bool, weight_decay: f64) -> Optimizer {
    Optimizer::Sgd {
        learning_rate,
        momentum,
        nesterov,
        weight_decay,
    }
}

#[test]
fn small_trainings_equal_the_script() {
    let Some(python) = python_with_torch() else {
        return train_support::skip(
            "small_trainings_equal_the_script",
            "Python has no torch, numpy and safetensors; set DIGITS_PYTHON",
        );
    };
    let data = patterns(1_000, 28, 28, 10);
    let plan = quick(&data);
    let network = |hidden: &[usize], activation| {
        let mut architecture = plan.architecture.clone();
        architecture.hidden = hidden.to_vec();
        architecture.activation = activation;
        architecture
    };
    let mut cases = vec![Case {
        name: "the notebook's network",
        plan: plan.clone(),
        data: &data,
    }];
    let other = Plan {
        seed: (7 << 32) | 123,
        generator_skip: 1_001,
        split_seed: Some(5),
        split: Split::Fractions {
            train: 0.775,
            validation: 0.225,
        },
        batch_size: 31,
        evaluation_batch_size: 50,
        architecture: network(&[33, 17], Activation::Relu),
        optimizer: sgd(0.05, 0.5, true, 1e-3),
        ..plan.clone()
    };
    cases.push(Case {
        name: "two layers, Nesterov, decay",
        plan: other,
        data: &data,
    });
    let other = Plan {
        architecture: network(&[], Activation::Relu),
        optimizer: sgd(0.1, 0.0, false, 1e-4),
        batch_size: 1,
        epochs: 1,
        ..plan.clone()
    };
    cases.push(Case {
        name: "linear, single images, no momentum",
        plan: other,
        data: &data,
    });
    let other = Plan {
        architecture: network(&[40], Activation::Gelu),
        ..plan.clone()
    };
    cases.push(Case {
        name: "GELU",
        plan: other,
        data: &data,
    });
    let mut other = Plan {
        architecture: network(&[24, 12], Activation::ScaledTanh),
        batch_size: 900,
        ..plan.clone()
    };
    (other.input.mean, other.input.std) = (0.1307, 0.3081);
    cases.push(Case {
        name: "scaled tanh, whole set at once, normalised",
        plan: other,
        data: &data,
    });

    // Weights of another seed, so that drawn ones would be seen.
    let elsewhere = Draws::begin(
        &Plan {
            seed: 99,
            ..plan.clone()
        },
        data.train.images.count,
    );
    let other = Plan {
        first_weights: Some(FirstWeights::new(elsewhere.unwrap().layers)),
        ..plan.clone()
    };
    cases.push(Case {
        name: "started from a state dict",
        plan: other,
        data: &data,
    });

    let odd = patterns(501, 9, 7, 3);
    let other = Plan {
        batch_size: 64,
        split: Split::Counts {
            train: 400,
            validation: 101,
        },
        ..quick(&odd)
    };
    cases.push(Case {
        name: "images of 9×7",
        plan: other,
        data: &odd,
    });
    compare_all(&python, &cases);
}

#[test]
fn an_epoch_of_mnist_equals_the_script() {
    let name = "an_epoch_of_mnist_equals_the_script";
    let Some(python) = python_with_torch() else {
        return train_support::skip(name, "Python has no torch; set DIGITS_PYTHON");
    };
    let Some(dir) = mnist_dir() else {
        return train_support::skip(name, "set DIGITS_MNIST_DIR to a folder with MNIST's files");
    };
    let data = mnist(&dir);
    let plan = Plan {
        seed: 1,
        generator_skip: 0,
        epochs: 1,
        validate_every: 200,
        ..notebook_plan(&data)
    };
    let some = head(&data, 5_000);
    let mut wider = Plan {
        seed: 2,
        generator_skip: 0,
        epochs: 1,
        ..notebook_plan(&some)
    };
    wider.architecture.hidden = vec![128];
    compare_all(
        &python,
        &[
            Case {
                name: "MNIST",
                plan,
                data: &data,
            },
            Case {
                name: "MNIST's first 5,000, 128 hidden",
                plan: wider,
                data: &some,
            },
        ],
    );
}
