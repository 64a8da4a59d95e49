//! Supervises the long-lived tasks and threads of a service: an unexpected end (a panic, or a
//! return before the shutdown) is logged as ERROR, counted, and answered by a restart with backoff
//! or by failing `/livez`.
//!
//! Tasks of single requests, connections or jobs are not supervised: their callers
//! receive the panic.

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
use crate::panic_text;

/// Pause before the first restart; it doubles with each death in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a restart.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// A task that has run for this long is healthy: its next death is the first in a row.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// Minimum number of deaths in a row that fails liveness.
const DEATHS_TO_FAIL: u32 = 5;
/// Minimum time from the first death in a row to the one that fails liveness. With backoff alone,
/// five deaths take 1.5 s. Replicas that follow the same storage fail together, and a restarted
/// process has nothing to serve until the fault is over. Liveness must therefore outlast transient
/// faults: the restart of a file server, the fail-over of a bucket, a bad serving record that is
/// soon replaced.
const SPAN_TO_FAIL: Duration = Duration::from_mins(5);

/// A supervised task. Its name is a label value of the metric, so names must be few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    name: &'static str,
    /// Distinguishes tasks of the same name in the log; may be empty.
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

/// Effect of repeated deaths on the process. The task is restarted in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatedDeaths {
    /// Five deaths in a row, each within a minute of the previous restart and together over at
    /// least five minutes, fail `/livez`. For tasks that the service cannot work without.
    FailLiveness,
    /// Deaths are only logged and counted. For tasks that the service can work without: a restart
    /// of the process would interrupt its work.
    Tolerate,
}

/// Starts supervised tasks and counts their deaths in `<prefix>_task_deaths_total{task}`; clones
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
            "unexpected ends (a panic, or a return before the shutdown) of background tasks and threads; \
             the task is restarted with backoff, or /livez fails"
        );
        Self { prefix, liveness }
    }

    /// The liveness that the supervised tasks fail.
    #[must_use]
    pub fn liveness(&self) -> &Liveness {
        &self.liveness
    }

    /// Runs the future that `start` returns, and restarts it with backoff when it panics or returns
    /// before `stop` is cancelled. The task must watch `stop` by itself.
    ///
    /// `start` must create fresh state, since a panic may have left the old state inconsistent.
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
                if stop.is_cancelled() {
                    record.died_in_shutdown(&cause);
                    return;
                }
                let pause = record.died(&cause, begun.elapsed(), repeated);
                if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                    return;
                }
            }
        })
    }

    /// Runs a task that cannot be restarted. A panic, or a return before `stop` is cancelled, fails
    /// liveness and readiness at once.
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

    /// Registers the counter before the first death, so that `rate()` sees the increase from 0.
    fn record(&self, task: Task) -> Record {
        Record {
            deaths: metrics::counter!(counter_name(self.prefix), "task" => task.name),
            task,
            liveness: self.liveness.clone(),
            in_a_row: 0,
            row_began: Instant::now(),
        }
    }
}

const RETURNED: &str = "it returned before the shutdown";

fn counter_name(prefix: &str) -> String {
    format!("{prefix}_task_deaths_total")
}

/// The deaths of one task.
struct Record {
    task: Task,
    deaths: Counter,
    liveness: Liveness,
    in_a_row: u32,
    /// Time of the first death in the current row.
    row_began: Instant,
}

impl Record {
    /// Logs and counts the death of a task that ran for `lived`; returns the pause before the
    /// restart.
    fn died(&mut self, cause: &str, lived: Duration, repeated: RepeatedDeaths) -> Duration {
        if lived >= HEALTHY_AFTER {
            self.in_a_row = 0;
        }
        if self.in_a_row == 0 {
            self.row_began = Instant::now();
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
        if repeated == RepeatedDeaths::FailLiveness && self.lasts() {
            let (deaths, seconds) = (self.in_a_row, self.row_began.elapsed().as_secs());
            self.fail_liveness(format!(
                "the background task {name} died {deaths} times in a row within {seconds} s; \
                 the log has the causes"
            ));
        }
        pause
    }

    /// Whether there are too many deaths over too long a time for a transient fault.
    fn lasts(&self) -> bool {
        self.in_a_row >= DEATHS_TO_FAIL && self.row_began.elapsed() >= SPAN_TO_FAIL
    }

    /// Logs and counts a death during the shutdown; the task is not restarted.
    fn died_in_shutdown(&self, cause: &str) {
        let Task { name, instance } = &self.task;
        self.deaths.increment(1);
        tracing::error!(
            task = name,
            instance,
            cause,
            "a background task died during the shutdown"
        );
    }

    fn died_for_good(&self, cause: &str) {
        let Task { name, instance } = &self.task;
        self.deaths.increment(1);
        tracing::error!(
            task = name,
            instance,
            cause,
            "a background task died and cannot be restarted; the process must be restarted"
        );
        let reason = format!("the background task {name} died; the log has the cause");
        // What it did for requests is not done any more.
        let was_live = self.liveness.fail_unable(&*reason);
        log_failure(was_live, &reason);
    }

    /// Fails `/livez` and logs the reason; only the first reason is kept.
    fn fail_liveness(&self, reason: String) {
        let was_live = self.liveness.fail(&*reason);
        log_failure(was_live, &reason);
    }
}

fn log_failure(was_live: bool, reason: &str) {
    if was_live {
        tracing::error!(
            reason,
            "/livez fails from now on, so that the orchestrator restarts the process"
        );
    }
}

fn pause_before_restart(deaths_in_a_row: u32) -> Duration {
    let doublings = deaths_in_a_row.saturating_sub(1).min(16);
    MAX_PAUSE.min(FIRST_PAUSE * 2_u32.pow(doublings))
}

/// The panic message as the cause of a death.
fn text(panic: &(dyn Any + Send)) -> String {
    format!("panic: {}", panic_text(panic))
}

#[cfg(test)]
mod tests;
