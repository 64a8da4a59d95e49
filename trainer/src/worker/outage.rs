//! Repeats what a running job writes, or reads of its worker, while that fails in a way that may
//! pass, such as on a full disk, an unreachable storage or under another program's lock of the job
//! database.

use super::running::RunningJob;
use crate::{
    job::{JobId, Publishing, WaitCause, now_us},
    store::{Store, StoreError},
};
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use std::{fmt::Display, time::Duration};
use tokio::time::Instant;

const WRITING: [&str; 2] = [
    "output of a job cannot be written",
    "output of a job is written again",
];
const READING: [&str; 2] = [
    "reports of a job cannot be read",
    "reports of a job are read again",
];

const RESUMING: [&str; 2] = [
    "the resume bundle of a job cannot be read",
    "the resume bundle of a job is read",
];
const ASSIGNING: [&str; 2] = [
    "the record of an attempt cannot be read",
    "the record of an attempt is read",
];
const STARTING: [&str; 2] = [
    "the worker of a job cannot be started",
    "the worker of a job is started",
];

const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// With jitter, which adds up to as much again: half a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// An error of a write.
pub(super) trait WriteError: Display {
    /// Whether the same write may succeed later.
    fn may_pass(&self) -> bool;

    /// What fails, for whoever reads the job: no paths and no causes.
    fn reason(&self) -> &'static str;

    /// Where the worker of the job waits as long as it takes: for what, for whoever reads the job.
    fn waits_for(&self) -> Option<String> {
        None
    }
}

impl WriteError for StoreError {
    fn may_pass(&self) -> bool {
        StoreError::may_pass(self)
    }

    fn reason(&self) -> &'static str {
        self.client_reason()
    }
}

/// How the writes of a running job outlast an outage.
pub(super) struct Outages<'a> {
    job: JobId,
    running: &'a RunningJob,
    /// The database whose watchers see the wait of a checkpoint.
    store: Option<&'a Store>,
    /// Time after which a failure counts as permanent.
    limit: Duration,
    /// The checkpoint that is published, by its epoch, if it is one.
    epoch: Option<u32>,
    /// The attempt whose worker is started, if it is one.
    starts: Option<u32>,
    /// What fails, and what is said once it does no more.
    messages: [&'static str; 2],
}

/// An outage so far.
struct Outage {
    since: Instant,
    since_us: i64,
    attempts: u32,
    /// What the worker waits for, as the job shows it.
    waits_for: Option<String>,
    pauses: ExponentialBackoff,
}

impl<'a> Outages<'a> {
    /// For writes that fail for good after `limit`.
    pub(super) fn new(
        job: JobId,
        running: &'a RunningJob,
        store: Option<&'a Store>,
        limit: Duration,
    ) -> Self {
        Self {
            job,
            running,
            store,
            limit,
            epoch: None,
            starts: None,
            messages: WRITING,
        }
    }

    /// The same for reads of what a worker reports.
    pub(super) fn of_reports(self) -> Self {
        Self {
            messages: READING,
            ..self
        }
    }

    /// The same for reads of resume bundles.
    pub(super) fn of_bundles(self) -> Self {
        Self {
            messages: RESUMING,
            ..self
        }
    }

    /// The same for the read of an attempt's record.
    pub(super) fn of_records(self) -> Self {
        Self {
            messages: ASSIGNING,
            ..self
        }
    }

    /// The same for starts of the worker of an attempt, whose wait is shown with the job.
    pub(super) fn of_starts(self, attempt: u32) -> Self {
        Self {
            starts: Some(attempt),
            messages: STARTING,
            ..self
        }
    }

    /// The same for the checkpoint of `epoch`, whose wait is shown with the job.
    pub(super) fn for_checkpoint(self, epoch: u32) -> Self {
        Self {
            epoch: Some(epoch),
            ..self
        }
    }

    /// The job whose writes these are.
    pub(super) fn job(&self) -> JobId {
        self.job
    }

    /// Repeats `attempt` until it succeeds, fails for good or has failed for the time limit, or the
    /// job is stopped.
    pub(super) async fn outlast<T, E, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, E>
    where
        E: WriteError,
        F: Future<Output = Result<T, E>>,
    {
        let mut outage: Option<Outage> = None;
        let ended = loop {
            let error = match attempt().await {
                Err(error) if error.may_pass() => error,
                ended => break ended,
            };
            let current = outage.get_or_insert_with(Outage::begin);
            current.attempts += 1;
            let left = match error.waits_for() {
                Some(_) => LONGEST_PAUSE,
                None => self.limit.saturating_sub(current.since.elapsed()),
            };
            if left.is_zero() {
                break Err(error);
            }
            self.show(current, &error).await;
            let pause = current.pauses.next().unwrap_or(LONGEST_PAUSE).min(left);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.running.stopped() => break Err(error),
            }
        };
        if let Some(outage) = outage {
            self.conclude(&outage, ended.is_ok()).await;
        }
        ended
    }

    /// Shows an outage: in the log and as an event when it begins, with the job throughout.
    async fn show(&self, outage: &mut Outage, error: &impl WriteError) {
        let (job, [failing, _]) = (self.job, self.messages);
        let begins = outage.attempts == 1;
        if begins {
            tracing::warn!(
                %job, epoch = self.epoch, %error, limit_seconds = self.limit.as_secs_f64(),
                "{failing}; retrying"
            );
        } else {
            tracing::debug!(%job, epoch = self.epoch, %error, attempts = outage.attempts, "{failing}, still");
        }
        if let Some(reason) = error.waits_for()
            && outage.waits_for.as_ref() != Some(&reason)
        {
            self.record_waiting(Some((WaitCause::Start, reason.clone())))
                .await;
            outage.waits_for = Some(reason);
        }
        let Some(epoch) = self.epoch else { return };
        let limit_us = i64::try_from(self.limit.as_micros()).unwrap_or(i64::MAX);
        let publishing = Publishing {
            epoch,
            reason: error.reason().to_owned(),
            since_us: outage.since_us,
            until_us: outage.since_us.saturating_add(limit_us),
            failed_attempts: outage.attempts,
        };
        self.running.set_publishing(Some(publishing.clone()));
        if begins {
            self.record(Some(publishing)).await;
        }
    }

    async fn conclude(&self, outage: &Outage, written: bool) {
        let (job, seconds) = (self.job, outage.since.elapsed().as_secs_f64());
        let [_, passed] = self.messages;
        if written {
            tracing::info!(%job, epoch = self.epoch, seconds, "{passed}");
            if outage.waits_for.is_some() {
                self.record_waiting(None).await;
            }
        }
        if self.epoch.is_some() {
            self.running.set_publishing(None);
            if written {
                self.record(None).await;
            }
        }
    }

    /// Shows with the job why its worker does not run.
    async fn record_waiting(&self, waiting: Option<(WaitCause, String)>) {
        let (Some(store), Some(attempt)) = (self.store, self.starts) else {
            return;
        };
        if let Err(error) = store.record_waiting(self.job, attempt, waiting).await {
            tracing::debug!(job = %self.job, %error, "the wait of a job for its worker is not recorded");
        }
    }

    /// Tells the watchers, who see it with the job too.
    async fn record(&self, publishing: Option<Publishing>) {
        let Some(store) = self.store else { return };
        if let Err(error) = store.record_publishing(self.job, publishing).await {
            tracing::debug!(job = %self.job, %error, "the wait of a job for its storage is not recorded");
        }
    }
}

impl Outage {
    fn begin() -> Self {
        Self {
            since: Instant::now(),
            since_us: now_us(),
            attempts: 0,
            waits_for: None,
            pauses: ExponentialBuilder::new()
                .with_min_delay(FIRST_PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .without_max_times()
                .with_jitter()
                .build(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{test_supervisor::supervisor, worker::running::StopReason};
    use std::cell::Cell;

    #[derive(Debug, PartialEq, thiserror::Error)]
    enum Fault {
        #[error("passing")]
        Passing,
        #[error("permanent")]
        Permanent,
    }

    impl WriteError for Fault {
        fn may_pass(&self) -> bool {
            *self == Self::Passing
        }

        fn reason(&self) -> &'static str {
            "the disk is full"
        }
    }

    /// Runs attempts, of which the first `failures` fail, within `limit`.
    async fn outlast(
        running: &RunningJob,
        limit: Duration,
        failures: u32,
        fault: fn() -> Fault,
    ) -> (Result<u32, Fault>, u32) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), &supervisor()).expect("opened");
        let outages = Outages {
            job: JobId::generate(),
            running,
            store: Some(&store),
            limit,
            epoch: None,
            starts: None,
            messages: WRITING,
        };
        let attempts = Cell::new(0);
        let ended = outages.outlast(|| {
            attempts.set(attempts.get() + 1);
            let attempt = attempts.get();
            std::future::ready(match attempt <= failures {
                true => Err(fault()),
                false => Ok(attempt),
            })
        });
        let ended = ended.await;
        (ended, attempts.get())
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_outlasted_within_the_limit() {
        let hour = Duration::from_secs(3_600);
        let running = RunningJob::default();
        let begun = Instant::now();
        let ended = outlast(&running, hour, 100, || Fault::Passing).await;
        assert_eq!(ended, (Ok(101), 101));
        assert!(begun.elapsed() < hour, "pauses stay below their limit");

        let begun = Instant::now();
        let (ended, attempts) = outlast(&running, hour, u32::MAX, || Fault::Passing).await;
        assert_eq!(ended, Err(Fault::Passing));
        assert!((60..600).contains(&attempts), "{attempts}");
        assert!(begun.elapsed() >= hour);
    }

    #[tokio::test(start_paused = true)]
    async fn permanent_faults_and_stops_end_at_once() {
        let hour = Duration::from_secs(3_600);
        let running = RunningJob::default();
        let ended = outlast(&running, hour, u32::MAX, || Fault::Permanent).await;
        assert_eq!(ended, (Err(Fault::Permanent), 1));
        let ended = outlast(&running, Duration::ZERO, u32::MAX, || Fault::Passing).await;
        assert_eq!(ended, (Err(Fault::Passing), 1));
        running.stop(StopReason::Cancel);
        let ended = outlast(&running, hour, u32::MAX, || Fault::Passing).await;
        assert_eq!(ended, (Err(Fault::Passing), 1));
    }
}
