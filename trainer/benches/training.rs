//! The trainer's side of `make bench-train`: reads one line of JSON per run from standard input and
//! prints the time of the training, as `benches/training/contender.py` does. Needs
//! `DIGITS_MNIST_DIR`.
//!
//! A run has whole epochs with their validations, or, with `batches`, that number of steps after
//! `warm_up` others.

#[path = "../tests/train/support/mnist.rs"]
mod mnist;
#[path = "../tests/train/support/notebook_plan.rs"]
mod notebook_plan;

use anyhow::Context as _;
use digits_checkpoint::manifest::Architecture;
use digits_dataset::Dataset;
use digits_trainer::train::{
    Augmentation, Observer, Plan, Precision, PublishFailed, PublishPolicy, Row, Snapshot, Started,
    libtorch_version, run,
};
use mnist::{mnist, mnist_dir};
use notebook_plan::notebook_plan;
use serde_json::{Value, json};
use std::io::{BufRead as _, Write as _};
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let dir = mnist_dir().context("set DIGITS_MNIST_DIR to a folder with MNIST's four files")?;
    let data = mnist(&dir);
    say(&json!({"ready": "ours", "torch": libtorch_version(), "threads": 1}))?;
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let plan = plan(&request, &data)?;
        let mut watch = Stopwatch::new(&request);
        run(&plan, &data, None, &mut watch)?;
        let (seconds, cpu_seconds) = watch.taken.context("the training came to its end")?;
        say(&json!({
            "seconds": seconds, "cpu_seconds": cpu_seconds, "steps": watch.steps, "accuracy": watch.accuracy,
        }))?;
    }
    Ok(())
}

/// The notebook's plan with the options of a request.
fn plan(request: &Value, data: &Dataset) -> anyhow::Result<Plan> {
    let notebook = notebook_plan(data);
    let widths = request["hidden"].as_array().context("hidden")?;
    let hidden = widths.iter().filter_map(Value::as_u64);
    let elastic_alpha = match request["augmentation"].as_str() {
        None => None,
        Some("affine") => Some(0.0),
        Some("elastic") => Some(36.0),
        Some(other) => anyhow::bail!("no augmentation is called {other}"),
    };
    let precision = match request["precision"].as_str() {
        None => Precision::Float32,
        Some("bfloat16") => Precision::Bfloat16,
        Some(other) => anyhow::bail!("no precision of the CPU is called {other}"),
    };
    Ok(Plan {
        architecture: Architecture {
            hidden: hidden.map(|width| width as usize).collect(),
            ..notebook.architecture
        },
        epochs: u32::try_from(request["epochs"].as_u64().context("epochs")?)?,
        // Counted steps have no validation between them.
        validate_every: match request["batches"].is_u64() {
            true => usize::MAX,
            false => notebook.validate_every,
        },
        augmentation: elastic_alpha.map(augmentation),
        precision,
        publish: PublishPolicy::Final,
        ..notebook
    })
}

/// The ranges of Cireşan et al. 2010, as in `contender.py`.
fn augmentation(elastic_alpha: f64) -> Augmentation {
    Augmentation {
        rotation_degrees: 15.0,
        shear_degrees: 15.0,
        scale_min: 0.85,
        scale_max: 1.15,
        shift_pixels: 2.0,
        elastic_alpha,
        elastic_sigma: 5.0,
        noise: 0.0,
        pen: false,
        outlier_share: 0.0,
        styles: 0.0,
        letters: 0.0,
        digits: Vec::new(),
        half_angles: Vec::new(),
    }
}

fn say(answer: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}")?;
    Ok(out.flush()?)
}

/// Wall and CPU seconds between two steps, without what comes before and after.
struct Stopwatch {
    /// Steps before the timed ones.
    warm_up: u64,
    /// Timed steps; `None`: all.
    batches: Option<u64>,
    began: Option<(Instant, f64)>,
    steps: u64,
    accuracy: f64,
    taken: Option<(f64, f64)>,
}

impl Stopwatch {
    fn new(request: &Value) -> Self {
        Self {
            warm_up: request["warm_up"].as_u64().unwrap_or(0),
            batches: request["batches"].as_u64(),
            began: None,
            steps: 0,
            accuracy: 0.0,
            taken: None,
        }
    }

    fn begin(&mut self) {
        self.began = Some((Instant::now(), cpu_seconds()));
    }
}

/// CPU time of this thread, which computes alone; 0 where the system does not measure it.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split_whitespace().next().map(str::parse::<f64>);
    nanoseconds.and_then(Result::ok).unwrap_or(0.0) / 1e9
}

impl Observer for Stopwatch {
    fn started(&mut self, started: &Started) {
        self.steps = self.batches.unwrap_or(started.steps);
        if self.warm_up == 0 {
            self.begin();
        }
    }

    fn row(&mut self, row: &Row) {
        self.accuracy = row.validation.accuracy();
    }

    fn progress(&mut self, step: u64) {
        if step == self.warm_up {
            self.begin();
        }
        if step == self.warm_up + self.steps
            && let Some((wall, cpu)) = self.began
        {
            self.taken = Some((wall.elapsed().as_secs_f64(), cpu_seconds() - cpu));
        }
    }

    fn snapshot(&mut self, _: Snapshot) -> Result<(), PublishFailed> {
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.batches.is_some() && self.taken.is_some()
    }
}
