//! Our side of `make bench-train`: trains as told on standard input, one line of JSON a run, and answers with the time
//! it took, as `benches/training/contender.py` does. Needs `DIGITS_MNIST_DIR`.

#[path = "../tests/train_support/mod.rs"]
mod train_support;

use anyhow::Context as _;
use digits_checkpoint::manifest::Architecture;
use digits_trainer::train::{
    Observer, Plan, PublishFailed, PublishPolicy, Row, Snapshot, Started, libtorch_version, run,
};
use serde_json::{Value, json};
use std::io::{BufRead as _, Write as _};
use std::time::Instant;
use train_support::{mnist, mnist_dir, notebook_plan};

fn main() -> anyhow::Result<()> {
    let dir = mnist_dir().context("set DIGITS_MNIST_DIR to a folder with MNIST's four files")?;
    let data = mnist(&dir);
    say(&json!({"ready": "ours", "torch": libtorch_version(), "threads": 1}))?;
    for line in std::io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line?)?;
        let widths = asked["hidden"].as_array().context("hidden")?;
        let hidden = widths.iter().filter_map(Value::as_u64);
        let plan = Plan {
            architecture: Architecture {
                hidden: hidden.map(|width| width as usize).collect(),
                ..notebook_plan(&data).architecture
            },
            epochs: u32::try_from(asked["epochs"].as_u64().context("epochs")?)?,
            publish: PublishPolicy::Final,
            ..notebook_plan(&data)
        };
        let mut watch = Stopwatch::default();
        run(&plan, &data, None, &mut watch)?;
        let (seconds, cpu_seconds) = watch.taken.context("the training came to its end")?;
        say(&json!({
            "seconds": seconds, "cpu_seconds": cpu_seconds, "steps": watch.steps, "accuracy": watch.accuracy,
        }))?;
    }
    Ok(())
}

fn say(answer: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}")?;
    Ok(out.flush()?)
}

/// Wall and CPU seconds from the first step to the last; what comes before and after is left out on both sides.
#[derive(Default)]
struct Stopwatch {
    began: Option<(Instant, f64)>,
    steps: u64,
    accuracy: f64,
    taken: Option<(f64, f64)>,
}

/// CPU time of this thread, which computes alone; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split_whitespace().next().map(str::parse::<f64>);
    nanoseconds.and_then(Result::ok).unwrap_or(0.0) / 1e9
}

impl Observer for Stopwatch {
    fn started(&mut self, started: &Started) {
        self.steps = started.steps;
        self.began = Some((Instant::now(), cpu_seconds()));
    }

    fn row(&mut self, row: &Row) {
        self.accuracy = row.validation.accuracy();
    }

    fn progress(&mut self, step: u64) {
        if step == self.steps
            && let Some((wall, cpu)) = self.began
        {
            self.taken = Some((wall.elapsed().as_secs_f64(), cpu_seconds() - cpu));
        }
    }

    fn snapshot(&mut self, _: Snapshot) -> Result<(), PublishFailed> {
        Ok(())
    }

    fn should_stop(&self) -> bool {
        false
    }
}
