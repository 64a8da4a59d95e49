//! Seconds of the notebook's training, in release mode on one core. Needs `DIGITS_MNIST_DIR`.
//!
//! `cargo bench -p digits-trainer --bench notebook -- [RUNS]`

#[path = "../tests/train/support/mnist.rs"]
mod mnist;
#[path = "../tests/train/support/notebook_plan.rs"]
mod notebook_plan;
#[path = "../tests/train/support/record.rs"]
mod record;

use digits_trainer::train::{Plan, run};
use mnist::{mnist, mnist_dir};
use notebook_plan::notebook_plan;
use record::Record;

fn main() -> anyhow::Result<()> {
    let Some(dir) = mnist_dir() else {
        anyhow::bail!("set DIGITS_MNIST_DIR to a folder with MNIST's four files");
    };
    let runs = std::env::args()
        .filter_map(|argument| argument.parse::<usize>().ok())
        .next()
        .unwrap_or(5);
    let data = mnist(&dir);
    println!(
        "net              batch  steps       train   validation   test  (median of {runs} runs)"
    );
    for (hidden, epochs) in [(vec![10], 5), (vec![128], 1), (vec![800], 1)] {
        let plan = Plan {
            architecture: digits_checkpoint::manifest::Architecture {
                hidden: hidden.clone(),
                ..notebook_plan(&data).architecture
            },
            epochs,
            ..notebook_plan(&data)
        };
        let mut seconds = Vec::new();
        let mut steps = 0;
        for _ in 0..runs {
            let outcome = run(&plan, &data, None, &mut Record::default())?;
            steps = outcome.steps;
            seconds.push((
                outcome.train_seconds,
                outcome.validation_seconds,
                outcome.test_seconds,
            ));
        }
        seconds.sort_by(|a, b| (a.0 + a.1).total_cmp(&(b.0 + b.1)));
        let (train, validation, test) = seconds[runs / 2];
        println!(
            "784-{:<4}-10 {:>10} {steps:>6} {train:>9.3} s {validation:>9.3} s {test:>6.3} s  {:.0} µs a step",
            hidden[0],
            plan.batch_size,
            train / steps as f64 * 1e6,
        );
    }
    Ok(())
}
