//! Cost of augmentation: CPU time of a step with and without it, in release mode on one core. Needs
//! `DIGITS_MNIST_DIR`.
//!
//! `cargo bench -p digits-trainer --bench augmentation -- [RUNS]`
//!
//! Linux only: it reads the thread's CPU time, which load on the machine changes less than wall
//! time.

#[path = "../tests/train/support/head.rs"]
mod head;
#[path = "../tests/train/support/mnist.rs"]
mod mnist;
#[path = "../tests/train/support/notebook_plan.rs"]
mod notebook_plan;
#[path = "../tests/train/support/record.rs"]
mod record;

use digits_checkpoint::manifest::Architecture;
use digits_dataset::Dataset;
use digits_trainer::train::{Augmentation, Plan, Split, run};
use head::head;
use mnist::{mnist, mnist_dir};
use notebook_plan::notebook_plan;
use record::Record;

/// Steps of a run.
const STEPS: usize = 100;
const VALIDATION: usize = 64;

fn main() -> anyhow::Result<()> {
    let Some(dir) = mnist_dir() else {
        anyhow::bail!("set DIGITS_MNIST_DIR to a folder with MNIST's four files");
    };
    let runs = std::env::args()
        .filter_map(|argument| argument.parse::<usize>().ok())
        .next()
        .unwrap_or(5);
    let data = mnist(&dir);
    let geometry = Augmentation {
        rotation_degrees: 15.0,
        shear_degrees: 15.0,
        scale_min: 0.85,
        scale_max: 1.15,
        shift_pixels: 2.0,
        elastic_alpha: 36.0,
        elastic_sigma: 5.0,
        noise: 0.0,
        pen: false,
        outlier_share: 0.0,
        styles: 0.0,
        letters: 0.0,
        digits: Vec::new(),
        half_angles: Vec::new(),
    };
    let all = Augmentation {
        noise: 0.2,
        pen: true,
        ..geometry.clone()
    };
    println!("µs of processor time a step, least of {runs} runs of {STEPS} steps");
    println!(
        "network             batch    plain  affine + elastic   share   pen and noise too   share"
    );
    for (hidden, batch_size) in [
        (vec![800], 64),
        (vec![1000, 500], 128),
        (vec![1024, 1024], 64),
        (vec![1024, 1024], 256),
    ] {
        let data = head(&data, STEPS * batch_size + VALIDATION);
        let step = |augmentation: Option<&Augmentation>| {
            step_us(&data, &plan(&data, &hidden, batch_size, augmentation), runs)
        };
        let (plain, moved, changed) = (step(None)?, step(Some(&geometry))?, step(Some(&all))?);
        let share = |with: f64| (with - plain) / with * 100.0;
        println!(
            "{:<18} {batch_size:>6} {plain:>8.0} {moved:>17.0} {:>6.1} % {changed:>19.0} {:>6.1} %",
            format!(
                "784-{}-10",
                hidden
                    .iter()
                    .map(usize::to_string)
                    .collect::<Vec<_>>()
                    .join("-")
            ),
            share(moved),
            share(changed),
        );
    }
    Ok(())
}

fn plan(
    data: &Dataset,
    hidden: &[usize],
    batch_size: usize,
    augmentation: Option<&Augmentation>,
) -> Plan {
    let plan = notebook_plan(data);
    Plan {
        architecture: Architecture {
            hidden: hidden.to_vec(),
            ..plan.architecture
        },
        split: Split::Counts {
            train: STEPS * batch_size,
            validation: VALIDATION,
        },
        batch_size,
        epochs: 1,
        validate_every: 2 * STEPS,
        augmentation: augmentation.cloned(),
        ..plan
    }
}

/// The minimum of several runs; everything but the steps costs the same in each.
fn step_us(data: &Dataset, plan: &Plan, runs: usize) -> anyhow::Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..runs {
        let before = processor_us()?;
        let outcome = run(plan, data, None, &mut Record::default())?;
        let wall = (outcome.validation_seconds + outcome.test_seconds) * 1e6;
        least = least.min((processor_us()? - before - wall) / outcome.steps as f64);
    }
    Ok(least)
}

/// CPU time of this thread.
fn processor_us() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = text.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e3)
}
