//! Background tasks of the service: the job gauges, the marks of cancelled and failed jobs, and the
//! retention sweep.

use crate::{
    config::Config,
    metrics::{DatabaseFiles, Metrics},
    retention::Retention,
    store::{JournalState, Store},
    worker::{RunningJobs, WorkerContext, keep_marking},
};
use digits_telemetry::supervisor::{RepeatedDeaths, Task};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Interval at which jobs are counted by state.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

/// Starts the background tasks, which end when `stop` is cancelled.
///
/// When one of them keeps dying, gauges are stale, marks are missing or the storage grows, and jobs
/// are trained all the same: a restart of the process would interrupt them.
pub(crate) fn start(
    config: &Config,
    services: &WorkerContext,
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let supervisor = &services.supervisor;
    let (store, running, metrics, until) = (
        services.store.clone(),
        Arc::clone(&services.running),
        services.metrics.clone(),
        stop.clone(),
    );
    let mut tasks = vec![supervisor.restart(
        Task::new("job_counter"),
        RepeatedDeaths::Tolerate,
        stop.clone(),
        move || {
            let running = Arc::clone(&running);
            count_jobs(store.clone(), running, metrics.clone(), until.clone())
        },
    )];
    let (store, storage, until) = (
        services.store.clone(),
        services.storage.clone(),
        stop.clone(),
    );
    tasks.push(supervisor.restart(
        Task::new("job_marks"),
        RepeatedDeaths::Tolerate,
        stop.clone(),
        move || keep_marking(store.clone(), storage.clone(), until.clone()),
    ));
    if let Some(rules) = config.retention() {
        let (interval, until) = (config.trainer.retention_interval, stop.clone());
        let retention = Retention {
            store: services.store.clone(),
            storage: services.storage.clone(),
            metrics: services.metrics.clone(),
            rules,
        };
        tasks.push(supervisor.restart(
            Task::new("retention"),
            RepeatedDeaths::Tolerate,
            stop.clone(),
            move || retention.clone().run(interval, until.clone()),
        ));
    }
    tasks
}

async fn count_jobs(
    store: Store,
    running: Arc<RunningJobs>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(COUNT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (state, journal) = (store.state(), store.journal());
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let files = {
            let state = state.borrow();
            DatabaseFiles {
                lost: state.loss.is_some(),
                journal_fails: journal
                    .as_ref()
                    .is_some_and(|it| matches!(*it.borrow(), JournalState::Unwritable(_))),
                repairs: state.repairs,
            }
        };
        metrics.database(files);
        metrics.publish_waits(running.longest_wait());
        let waiting = match store.count_waiting().await {
            Ok(counts) => counts,
            Err(error) => {
                tracing::warn!(%error, "cannot count workers that do not run yet");
                continue;
            }
        };
        metrics.attempts.waiting(&waiting);
        let taken = waiting.iter().map(|(_, count)| count).sum();
        match store.count_by_state().await {
            Ok(counts) => {
                let counts = counts.into_iter();
                let counts: Vec<_> = counts.map(|(state, count)| (state.into(), count)).collect();
                metrics.jobs_by_state(&counts, taken);
            }
            Err(error) => tracing::warn!(%error, "cannot count jobs by state"),
        }
    }
}
