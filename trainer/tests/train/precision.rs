//! Trainings with reduced precision of the matrix products: accuracy, and which numbers are
//! rounded.

use crate::support::{Record, notebook_plan, patterns};
use digits_dataset::synthetic;
use digits_trainer::train::{Optimizer, Plan, Precision, SgdOptions, TrainError, run};

#[test]
fn bfloat16_reaches_the_accuracy_of_float32() {
    let data = synthetic::generate(&synthetic::Options {
        train: 5_000,
        test: 1_000,
        seed: 2,
    });
    let plan = Plan {
        optimizer: Optimizer::Sgd(SgdOptions {
            learning_rate: 0.05,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
        }),
        epochs: 4,
        ..notebook_plan(&data)
    };
    let mut plan = plan;
    plan.architecture.hidden = vec![64, 32];
    let trained = |precision| {
        let mut record = Record::default();
        let plan = Plan {
            precision,
            ..plan.clone()
        };
        let outcome = run(&plan, &data, None, &mut record).expect("a training");
        let layers = record.snapshots.remove(0).layers;
        (outcome.test.expect("completed").accuracy(), layers)
    };
    let (whole, float32) = trained(Precision::Float32);
    let (rounded, bfloat16) = trained(Precision::Bfloat16);
    println!("test accuracy: float32 {whole}, bfloat16 {rounded}");
    assert!(whole > 0.95, "{whole}");
    assert!((whole - rounded).abs() < 0.01, "{whole} {rounded}");
    assert_ne!(float32, bfloat16, "the products are other ones");
    // Weights are not rounded.
    let weights = bfloat16.iter().flat_map(|layer| &layer.weight);
    let short = weights.clone().filter(|it| it.to_bits() & 0xffff == 0);
    assert!(short.count() < weights.count() / 100);
}

#[test]
fn tf32_is_refused_on_the_cpu() {
    let data = patterns(100, 8, 8, 4);
    let plan = Plan {
        precision: Precision::Tf32,
        ..notebook_plan(&data)
    };
    let error = run(&plan, &data, None, &mut Record::default()).expect_err("refused");
    let TrainError::Plan { field, message } = error else {
        panic!("{error}");
    };
    assert_eq!(field, "precision");
    assert!(message.contains("use FLOAT32 or BFLOAT16"), "{message}");
}
