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
use crate::panic_text;

/// Pause before the first restart; it doubles with each death in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a restart.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// A task that has run for so long is healthy: its next death is the first in a row.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// Fewest deaths in a row that fail liveness: more than chance.
const DEATHS_TO_FAIL: u32 = 5;
/// Shortest time from the first death of the row to the one that fails liveness. By the pauses alone
/// five deaths take 1.5 s. Replicas that follow the same storage die of the same fault at the same
/// time, and a new process has nothing to serve until the fault is over, so liveness must outlast
/// faults that pass: the restart of a file server, the fail-over of a bucket, a record that another
/// one follows.
const SPAN_TO_FAIL: Duration = Duration::from_mins(5);

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
    /// They fail `/livez` once there are five of them, each within a minute of the restart before,
    /// over five minutes or more: the service does not do its work without this task.
    FailLiveness,
    /// They are logged and counted: the service does its work without this task, and a restart would
    /// interrupt it.
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
    /// When the first of them happened.
    row_began: Instant,
}

impl Record {
    /// Logs and counts a death after a life of `lived`; returns the pause before the restart.
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

    /// Whether the row of deaths is more than a fault that passes.
    fn lasts(&self) -> bool {
        self.in_a_row >= DEATHS_TO_FAIL && self.row_began.elapsed() >= SPAN_TO_FAIL
    }

    /// Logs and counts the death of a task that is not needed any more.
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
            "a background task died and cannot be restarted: the process must be"
        );
        self.fail_liveness(format!(
            "the background task {name} died; the log has the cause"
        ));
    }

    /// Logs the moment from which `/livez` fails; later reasons are not shown.
    fn fail_liveness(&self, reason: String) {
        if self.liveness.fail(&*reason) {
            tracing::error!(
                reason,
                "/livez fails from now on, so that the process is restarted"
            );
        }
    }
}

fn pause_before_restart(deaths_in_a_row: u32) -> Duration {
    let doublings = deaths_in_a_row.saturating_sub(1).min(16);
    MAX_PAUSE.min(FIRST_PAUSE * 2_u32.pow(doublings))
}

/// A panic as the cause of a death.
fn text(panic: &(dyn Any + Send)) -> String {
    format!("panic: {}", panic_text(panic))
}

#[cfg(test)]
mod tests;
