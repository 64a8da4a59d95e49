//! The notebook's printed run, row by row.

use crate::support::{Record, mnist, mnist_dir, notebook_plan};
use digits_checkpoint::manifest::Evaluation;
use digits_testing::skip;
use digits_trainer::train::{Finished, PublishPolicy, run};

const PRINTED: &str = include_str!("../fixtures/notebook-printed-run.csv");
/// Largest difference of a mean loss: the print has six decimals.
const LOSS_TOLERANCE: f64 = 2e-6;
/// Largest difference of an accuracy, in percent: the print has one decimal.
const ACCURACY_TOLERANCE: f64 = 0.1;

/// A row that the notebook printed.
struct Printed {
    kind: String,
    epoch: u32,
    step_in_epoch: u64,
    accuracy_percent: f64,
    loss: f64,
}

fn printed() -> Vec<Printed> {
    PRINTED
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            Printed {
                kind: fields[0].to_owned(),
                epoch: fields[1].parse().unwrap(),
                step_in_epoch: fields[2].parse().unwrap(),
                accuracy_percent: fields[3].parse().unwrap(),
                loss: fields[4].parse().unwrap(),
            }
        })
        .collect()
}

/// How far an evaluation is from a printed row: (loss, accuracy in percent).
fn distance(ours: &Evaluation, printed: &Printed) -> (f64, f64) {
    (
        (ours.loss_batch_mean - printed.loss).abs(),
        (ours.accuracy() * 100.0 - printed.accuracy_percent).abs(),
    )
}

#[test]
fn the_notebook_preset_reproduces_the_printed_run() {
    let Some(dir) = mnist_dir() else {
        return skip(
            "the_notebook_preset_reproduces_the_printed_run",
            "set DIGITS_MNIST_DIR to a folder with MNIST's four files",
        );
    };
    let data = mnist(&dir);
    let mut plan = notebook_plan(&data);
    plan.publish = PublishPolicy::EveryEpoch;
    let mut record = Record::default();
    let outcome = run(&plan, &data, None, &mut record).expect("a training");

    let printed = printed();
    assert_eq!(printed.len(), 46);
    let mut ours: Vec<(u32, u64, Evaluation)> = record
        .rows
        .iter()
        .map(|row| (row.epoch, row.step_in_epoch, row.validation))
        .collect();
    ours.push((5, 844, outcome.test.expect("completed")));
    assert_eq!(ours.len(), printed.len());
    let (mut largest_loss, mut largest_accuracy) = (0.0_f64, 0.0_f64);
    for ((epoch, step, evaluation), printed) in ours.iter().zip(&printed) {
        let place = format!("{} {epoch}/{step}", printed.kind);
        assert_eq!(
            (*epoch, *step),
            (printed.epoch, printed.step_in_epoch),
            "{place}"
        );
        let (loss, accuracy) = distance(evaluation, printed);
        assert!(loss < LOSS_TOLERANCE, "{place}: loss differs by {loss:e}");
        assert!(
            accuracy < ACCURACY_TOLERANCE,
            "{place}: accuracy differs by {accuracy}"
        );
        largest_loss = largest_loss.max(loss);
        largest_accuracy = largest_accuracy.max(accuracy);
    }

    assert_eq!(outcome.finished, Finished::Completed);
    assert_eq!(outcome.steps, 5 * 844);
    assert_eq!(outcome.threads, 1);
    assert!(record.steps.iter().copied().eq(1..=5 * 844));
    assert_eq!(record.snapshots.len(), 5);
    let last = record.snapshots.last().unwrap();
    assert_eq!(last.test, outcome.test);
    assert!(last.validation.is_some_and(|found| found.images == 6_000));
    assert_eq!(
        last.layers
            .iter()
            .map(|layer| layer.outputs)
            .collect::<Vec<_>>(),
        [10, 10]
    );
    assert_eq!(last.exam.logits.len(), last.exam.images * 10);
    println!(
        "largest differences: loss {largest_loss:.2e}, accuracy {largest_accuracy:.3} points; {:.2} s of steps, {:.2} s \
         of validation",
        outcome.train_seconds, outcome.validation_seconds
    );
}
