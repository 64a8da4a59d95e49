//! Supervises the long-lived tasks and threads of a service: an unexpected end (a panic, or a return
//! before the shutdown) is logged as ERROR, counted, and answered by a restart with backoff or by
//! failing `/livez`.
//!
//! Tasks of single requests, connections or jobs are not supervised: whoever waits for them learns of
//! their panic.

mod thread;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use metrics::{Counter, Unit};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::liveness::Liveness;

/// Pause before the first restart; it doubles with each death in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a restart.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// A task that has run for so long is healthy: its next death is the first in a row.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// Deaths in a row that fail liveness.
const MAX_DEATHS: u32 = 5;

/// A supervised task. Its name is a label of the metric, so there are few of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    name: &'static str,
    /// Which of the tasks of this name, for the log; may be empty.
    instance: String,
}

impl Task {
    /// The only task of this name, in snake case.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self::instance(name, "")
    }

    /// One of several tasks of this name, such as a worker by its number.
    #[must_use]
    pub fn instance(name: &'static str, instance: impl ToString) -> Self {
        Self {
            name,
            instance: instance.to_string(),
        }
    }
}

/// What deaths in a row mean for the process. The task is restarted in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatedDeaths {
    /// Five of them, each within a minute of the restart before, fail `/livez`: the service does not
    /// do its work without this task.
    FailLiveness,
    /// They are logged and counted: the service does its work without this task, and a restart would
    /// interrupt it.
    Tolerate,
}

/// Starts supervised tasks and counts their deaths in `<prefix>_task_restarts_total{task}`; clones
/// share it.
#[derive(Debug, Clone)]
pub struct Supervisor {
    prefix: &'static str,
    liveness: Liveness,
}

impl Supervisor {
    /// Declares the metric under `prefix`, such as `digits_trainer`; failures go to `liveness`.
    ///
    /// Call it after the recorder was installed ([`crate::metrics::install`]).
    #[must_use]
    pub fn new(prefix: &'static str, liveness: Liveness) -> Self {
        metrics::describe_counter!(
            counter_name(prefix),
            Unit::Count,
            "unexpected ends (panics and early returns) of background tasks and threads"
        );
        Self { prefix, liveness }
    }

    /// What its tasks fail.
    #[must_use]
    pub fn liveness(&self) -> &Liveness {
        &self.liveness
    }

    /// Runs what `start` returns until `stop` is cancelled, and starts it anew, after a pause, when it
    /// panics or returns before. The task must watch `stop` by itself.
    ///
    /// `start` makes the task's state anew, since a panic may have left the old one inconsistent.
    pub fn restart<F>(
        &self,
        task: Task,
        repeated: RepeatedDeaths,
        stop: CancellationToken,
        mut start: impl FnMut() -> F + Send + 'static,
    ) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut record = self.record(task);
        tokio::spawn(async move {
            loop {
                let begun = Instant::now();
                let run = AssertUnwindSafe(async { start().await });
                let cause = match run.catch_unwind().await {
                    Ok(()) if stop.is_cancelled() => return,
                    Ok(()) => RETURNED.to_owned(),
                    Err(panic) => text(&*panic),
                };
                let pause = record.died(&cause, begun.elapsed(), repeated);
                if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                    return;
                }
            }
        })
    }

    /// Runs a task that cannot be started anew. Its death, by a panic or by a return before `stop` is
    /// cancelled, fails liveness at once.
    pub fn watch(
        &self,
        task: Task,
        stop: CancellationToken,
        run: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let record = self.record(task);
        tokio::spawn(async move {
            match AssertUnwindSafe(run).catch_unwind().await {
                Ok(()) if stop.is_cancelled() => {}
                Ok(()) => record.died_for_good(RETURNED),
                Err(panic) => record.died_for_good(&text(&*panic)),
            }
        })
    }

    /// The counter is registered before the first death, so that a rate shows it.
    fn record(&self, task: Task) -> Record {
        Record {
            deaths: metrics::counter!(counter_name(self.prefix), "task" => task.name),
            task,
            liveness: self.liveness.clone(),
            in_a_row: 0,
        }
    }
}

const RETURNED: &str = "it returned before the shutdown";

fn counter_name(prefix: &str) -> String {
    format!("{prefix}_task_restarts_total")
}

/// The deaths of one task.
struct Record {
    task: Task,
    deaths: Counter,
    liveness: Liveness,
    in_a_row: u32,
}

impl Record {
    /// Logs and counts a death after a life of `lived`; returns the pause before the restart.
    fn died(&mut self, cause: &str, lived: Duration, repeated: RepeatedDeaths) -> Duration {
        if lived >= HEALTHY_AFTER {
            self.in_a_row = 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        let pause = pause_before_restart(self.in_a_row);
        let Task { name, instance } = &self.task;
        self.deaths.increment(1);
        tracing::error!(
            task = name,
            instance,
            cause,
            deaths_in_a_row = self.in_a_row,
            restart_in = ?pause,
            "a background task died and is restarted"
        );
        if repeated == RepeatedDeaths::FailLiveness && self.in_a_row >= MAX_DEATHS {
            let deaths = self.in_a_row;
            self.liveness.fail(format!(
                "the background task {name} died {deaths} times in a row; the log has the causes"
            ));
        }
        pause
    }

    fn died_for_good(&self, cause: &str) {
        let Task { name, instance } = &self.task;
        self.deaths.increment(1);
        tracing::error!(
            task = name,
            instance,
            cause,
            "a background task died and cannot be restarted: the process must be"
        );
        self.liveness.fail(format!(
            "the background task {name} died; the log has the cause"
        ));
    }
}

fn pause_before_restart(deaths_in_a_row: u32) -> Duration {
    let doublings = deaths_in_a_row.saturating_sub(1).min(16);
    MAX_PAUSE.min(FIRST_PAUSE * 2_u32.pow(doublings))
}

/// The message of a panic.
fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests;
