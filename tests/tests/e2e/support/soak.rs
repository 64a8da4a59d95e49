//! Runs both services under every kind of work at once, samples what they hold, and judges the
//! slopes.

mod resources;
mod slope;
mod work;

use anyhow::{Context as _, Result, bail, ensure};
use digits_e2e::sandbox::Sandbox;
use digits_testing::{patience, until};
use resources::Resources;
use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use work::{Addresses, Count};

/// Samples of a run; not more than one a second.
const SAMPLES: u32 = 600;
/// Share of the run that is cut off as its warm-up.
const WARM_UP: f64 = 0.25;
/// Of each kind of work in a run without a given time.
const ONCE: u64 = 3;
/// Checkpoints come and go within seconds.
const TRAINER: [&str; 12] = [
    "--workers",
    "2",
    "--bundle-interval",
    "200ms",
    "--retention-interval",
    "2s",
    "--retention-keep",
    "5",
    "--retention-age",
    "10s",
    "--retention-grace",
    "5s",
];

/// Both services, the work that they do, and what they hold.
pub struct Soak {
    sandbox: Sandbox,
    work: JoinSet<(&'static str, anyhow::Error)>,
    counts: Vec<Arc<Count>>,
    resources: Resources,
}

impl Soak {
    /// Starts the services and all work.
    pub async fn start() -> Result<Self> {
        let mut sandbox = Sandbox::new(patience())?;
        sandbox.start_trainer(&TRAINER).await?;
        sandbox.start_inference(&[]).await?;
        let addresses = Addresses::of(&sandbox)?;
        let mut work = JoinSet::new();
        work::first_checkpoints(&addresses).await?;
        let counts = work::start(&addresses, &mut work)?;
        let resources = Resources::of(&sandbox)?;
        Ok(Self {
            sandbox,
            work,
            counts,
            resources,
        })
    }

    /// Goes on for a time, and returns a table whose slopes are within their bounds.
    pub async fn run_for(mut self, time: Duration) -> Result<String> {
        let begin = Instant::now();
        let pause = (time / SAMPLES).max(Duration::from_secs(1));
        let mut ticks = tokio::time::interval(pause);
        while begin.elapsed() < time {
            tokio::select! {
                _ = ticks.tick() => self.resources.sample(begin.elapsed(), self.jobs())?,
                failed = self.work.join_next() => failure(failed)?,
            }
        }
        let slopes = self.resources.slopes(time.mul_f64(WARM_UP));
        let table = format!("{}\n{}", self.done(), slope::table(&slopes));
        self.stop().await?;
        let steep = slopes.iter().filter(|slope| !slope.is_within_bound());
        let steep: Vec<&str> = steep.map(|slope| slope.name).collect();
        ensure!(steep.is_empty(), "above its bound: {steep:?}\n{table}");
        Ok(table)
    }

    /// Goes on until all work was done a few times, and samples it. Slopes of seconds mean nothing.
    pub async fn run_once(mut self) -> Result<String> {
        let begin = Instant::now();
        let counts = self.counts.clone();
        let done = until("work of each kind", async || {
            let all = counts
                .iter()
                .all(|it| it.done.load(Ordering::Relaxed) >= ONCE);
            Ok(all.then_some(()))
        });
        tokio::select! {
            done = done => done.with_context(|| self.done())?,
            failed = self.work.join_next() => failure(failed)?,
        }
        self.resources.sample(begin.elapsed(), self.jobs())?;
        let done = self.done();
        self.stop().await?;
        Ok(done)
    }

    /// Accepted jobs.
    fn jobs(&self) -> u64 {
        let of_jobs = self.counts.iter().filter(|count| count.is_of_jobs());
        of_jobs
            .map(|count| count.done.load(Ordering::Relaxed))
            .sum()
    }

    /// How often each kind of work was done.
    fn done(&self) -> String {
        let mut line = String::new();
        for count in &self.counts {
            let done = count.done.load(Ordering::Relaxed);
            let separator = if line.is_empty() { "" } else { ", " };
            let _ = write!(line, "{separator}{} {done}", count.name);
        }
        line
    }

    async fn stop(mut self) -> Result<()> {
        self.work.shutdown().await;
        for service in [self.sandbox.trainer()?, self.sandbox.inference()?] {
            let log = service.log()?;
            let error = log.lines().find(|line| line.contains(" ERROR "));
            ensure!(error.is_none(), "the log has an error: {error:?}");
        }
        self.sandbox.stop().await
    }
}

/// Work never ends by itself.
fn failure(
    ended: Option<Result<(&'static str, anyhow::Error), tokio::task::JoinError>>,
) -> Result<()> {
    match ended {
        Some(Ok((name, error))) => Err(error.context(name)),
        Some(Err(panic)) => Err(panic.into()),
        None => bail!("there is no work"),
    }
}
