//! Follows the events of all jobs for one experiment tracker: reads what it has not taken in, hands
//! it over, and records how far it is.

use crate::{
    job::{Event, now_us},
    metrics::TrackerMetrics,
    store::{Job, Position, Store, StoreError, UntrackedJob},
    wire,
};
use digits_checkpoint::{LoadError, StorageError};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Jobs that are looked at in a round.
const MAX_JOBS: usize = 64;
/// Interval at which new events are looked for, so that those of a running job come in batches.
const INTERVAL: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// Why an attempt failed. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The tracker takes in nothing now.
    Unavailable(String),
    /// One job has to wait.
    Postponed(String),
    /// What the tracker had of a job is gone: all its events are to be taken in again.
    Lost(String),
}

impl Failure {
    /// Why a checkpoint that cannot be read never will be, such as one that retention has deleted.
    ///
    /// # Errors
    /// When a later attempt may succeed.
    pub(super) fn of_checkpoint(error: LoadError) -> Result<String, Self> {
        match error {
            LoadError::Refused(refusal) => Ok(refusal.to_string()),
            LoadError::Unavailable(error) => match &error {
                StorageError::Missing { .. } => Ok(error.to_string()),
                _ if error.is_unreadable() => Ok(error.to_string()),
                _ => Err(Self::Postponed(error.to_string())),
            },
        }
    }
}

/// Events of a job, oldest first.
pub(super) struct Batch<'a> {
    pub(super) job: &'a Job,
    /// How far the tracker was before them.
    pub(super) position: Position,
    pub(super) events: &'a [Event],
}

/// An experiment tracker. What it takes in may come again after a crash.
pub(super) trait Tracker: Send + Sync {
    /// Its name in the database and in the log.
    const NAME: &'static str;

    /// Takes in events; returns what is to be noted with the position after them.
    fn take(&mut self, batch: Batch<'_>) -> impl Future<Output = Result<u64, Failure>> + Send;

    /// Does what depends on no job. Called after each round without a failure of the tracker.
    fn settle(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Follows the events of all jobs for a tracker.
pub(super) struct Follower<T> {
    pub(super) tracker: T,
    pub(super) store: Store,
    pub(super) metrics: TrackerMetrics,
    /// The jobs up to this number are over and taken in.
    complete: i64,
}

impl<T: Tracker> Follower<T> {
    pub(super) fn new(tracker: T, store: Store, metrics: TrackerMetrics) -> Self {
        Self {
            tracker,
            store,
            metrics,
            complete: 0,
        }
    }

    /// Runs until the shutdown. What it interrupts is done again by the next start.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&mut self) {
        let (tracker, mut failures) = (T::NAME, 0);
        loop {
            let pause = match self.round().await {
                Ok(pause) => {
                    if std::mem::take(&mut failures) > 0 {
                        tracing::info!(tracker, "jobs are tracked again");
                    }
                    pause
                }
                Err(reason) => {
                    self.metrics.attempt_failed();
                    if failures == 0 {
                        tracing::warn!(tracker, reason, "jobs cannot be tracked; trying again");
                    }
                    let pause = pause_after(failures);
                    failures = failures.saturating_add(1);
                    pause
                }
            };
            sleep(pause).await;
        }
    }

    /// Takes in a batch of each job; returns the pause before the next round.
    ///
    /// # Errors
    /// Why not all of it was possible.
    async fn round(&mut self) -> Result<Duration, String> {
        let found = self.store.untracked(T::NAME, self.complete, MAX_JOBS).await;
        let found = found.map_err(|error| unreadable(&error))?;
        self.complete = found.complete;
        let oldest = found.oldest_us.map_or(Duration::ZERO, age);
        self.metrics.waiting(found.waiting, oldest);
        let (mut postponed, mut has_more) = (None, false);
        for job in &found.jobs {
            match self.step(job).await {
                Ok(is_full) => has_more |= is_full,
                Err(Failure::Unavailable(reason)) => return Err(reason),
                Err(Failure::Postponed(reason)) => postponed = Some(reason),
                Err(Failure::Lost(reason)) => {
                    tracing::warn!(tracker = T::NAME, job = %job.id, reason, "a job is tracked from its beginning again");
                    self.record(job, Position::default()).await?;
                }
            }
        }
        match self.tracker.settle().await {
            Ok(()) => {}
            Err(
                Failure::Unavailable(reason) | Failure::Postponed(reason) | Failure::Lost(reason),
            ) => {
                postponed = Some(reason);
            }
        }
        match postponed {
            Some(reason) => Err(reason),
            None if has_more || found.waiting > found.jobs.len() as u64 => Ok(Duration::ZERO),
            None => Ok(INTERVAL),
        }
    }

    /// Takes in a batch of a job; returns whether the job may have more.
    async fn step(&mut self, untracked: &UntrackedJob) -> Result<bool, Failure> {
        let failed = |error: StoreError| Failure::Unavailable(unreadable(&error));
        let UntrackedJob { id, position, .. } = *untracked;
        let job = self.store.job(id).await.map_err(failed)?;
        let (stored, _) = self
            .store
            .events_after(id, position.event)
            .await
            .map_err(failed)?;
        let Some(last) = stored.last().map(|event| event.sequence) else {
            return Ok(false);
        };
        let events = stored.iter().filter_map(|event| {
            wire::event_from(&event.message)
                .inspect_err(|error| {
                    tracing::warn!(job = %id, %error, "an event cannot be read and is not tracked");
                })
                .ok()
        });
        let events: Vec<Event> = events.collect();
        let batch = Batch {
            job: &job,
            position,
            events: &events,
        };
        let mark = self.tracker.take(batch).await?;
        self.metrics.taken(events.len() as u64);
        let position = Position { event: last, mark };
        let recorded = self.record(untracked, position).await;
        recorded.map_err(Failure::Unavailable)?;
        Ok(last < job.last_event)
    }

    async fn record(&self, job: &UntrackedJob, position: Position) -> Result<(), String> {
        let recorded = self.store.set_tracked(T::NAME, job.number, position).await;
        recorded.map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &StoreError) -> String {
    format!("the job database: {error}")
}

/// Time since `at_us`; zero where the clock was set back.
fn age(at_us: i64) -> Duration {
    let age_us = now_us().saturating_sub(at_us);
    Duration::from_micros(u64::try_from(age_us).unwrap_or(0))
}

/// Pause after a failed round, by the number of failed rounds before it.
fn pause_after(failures: u32) -> Duration {
    LAST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(failures.min(10)))
}
