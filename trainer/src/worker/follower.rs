//! Follows the reports of a worker: takes each into the job database, in order and once, publishes
//! the checkpoints among them, and shows the job in the metrics.

use super::{
    error::{JobError, PublishError},
    executor::AttemptEnd,
    launcher::{AtShutdown, Launcher, WorkerExit, WorkerStatus},
    local::scope,
    outage::Outages,
    progress::{self, SampleCounter, show_queued},
    publisher::{PlannedCheckpoint, Publisher},
    running::{RunningJob, StopReason},
    slot::WorkerSlot,
    start::start_worker,
    train_attempt::job_info,
    watermark::DurabilityWatermark,
};
use crate::{
    attempt::{AttemptReport, DraftReport, Report, ResumePoint, WorkerEnd, draft_from},
    job::{JobOutcome, WaitCause},
    metrics::{Gauge, JobInfo, JobSeries},
    remote_write::Curve,
    spec,
    store::{Job, Run},
    wire::{self, SpecMessage},
};
use digits_checkpoint::{Draft, StorageError, runs::Attempt, serving::PromotionRules};
use digits_service::exit;
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Pause between two looks for the next report.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Pause between two starts of a worker that goes missing before it begins; it doubles with each.
const FIRST_RESTART: Duration = Duration::from_secs(10);
const LONGEST_RESTART: Duration = Duration::from_mins(5);

/// Exit codes of a worker that did not find what it needs: what it says of the job is nothing.
const NOT_BEGUN: [u8; 2] = [exit::USAGE, exit::UNAVAILABLE];

/// Follows the reports of one attempt.
pub(super) struct Follower<'a> {
    slot: &'a WorkerSlot,
    job: &'a Job,
    running: &'a RunningJob,
    attempt: Attempt,
    /// Reports that were taken in.
    followed: u64,
    /// Why the worker does not run yet, as the database has it.
    waiting: Option<(WaitCause, String)>,
    /// Pause before its worker is started again, and when that may be.
    restart: (Duration, Instant),
    publisher: Publisher,
    info: JobInfo,
    /// Once the training begins.
    series: Option<Arc<JobSeries>>,
    batch_size: u64,
    samples: SampleCounter,
    curve: Curve,
}

impl<'a> Follower<'a> {
    /// Follows the reports that were not taken in yet.
    pub(super) fn new(
        slot: &'a WorkerSlot,
        job: &'a Job,
        running: &'a Arc<RunningJob>,
        run: &Run,
    ) -> Result<Self, JobError> {
        let context = &slot.context;
        let request = SpecMessage::decode(&job.resolved)?.request();
        let plan = spec::plan(&request, &context.catalog)?;
        let rules = PromotionRules {
            policy: plan.promotion,
            scope: scope(job)?,
            guard: context.promotion_guard,
        };
        // Nobody waits for it: each report is taken in before the next is read.
        let (watermark, _) = DurabilityWatermark::new();
        let mut follower = Self {
            slot,
            job,
            running,
            attempt: Attempt {
                job: job.id.to_string(),
                number: run.attempt,
            },
            followed: run.followed,
            waiting: run.waiting.clone(),
            restart: (FIRST_RESTART, Instant::now()),
            publisher: Publisher {
                context: context.clone(),
                job: job.id,
                rules,
                running: Arc::clone(running),
                watermark,
            },
            info: job_info(job.id, &request.name, &plan),
            series: None,
            batch_size: plan.train.batch_size as u64,
            samples: SampleCounter::default(),
            curve: context
                .runtime
                .block_on(context.curve(job.id, &request.name))?,
        };
        if follower.followed > 0 && !job.device.is_empty() {
            follower.show_begin(job.device.clone());
        }
        Ok(follower)
    }

    /// Takes in report after report, until the last one or until the worker has died.
    pub(super) fn follow(&mut self, launcher: &impl Launcher) -> Result<AttemptEnd, JobError> {
        let mut stopped: Option<Instant> = None;
        loop {
            // First: a worker that is dead now reports nothing more.
            let status = launcher.status(&self.attempt);
            while let Some(report) = self.next()? {
                if let Some(end) = self.take_in(report)? {
                    return Ok(self.end(end, launcher.at_shutdown()));
                }
            }
            let stop = self.running.stop_reason();
            if stop == Some(StopReason::Shutdown) && launcher.at_shutdown() == AtShutdown::Leave {
                return Ok(AttemptEnd::Left);
            }
            if let Some(end) = self.react(status, launcher)? {
                return Ok(end);
            }
            if stop.is_none() {
                let stop =
                    async { tokio::time::timeout(POLL_INTERVAL, self.running.stopped()).await };
                // A timeout is time for the next look.
                let _ = self.slot.context.runtime.block_on(stop);
                continue;
            }
            // Repeated, because the worker may just be starting.
            let grace = match (stop, launcher.at_shutdown()) {
                (Some(StopReason::Shutdown), AtShutdown::Stop(grace)) => grace,
                _ => launcher.stop_grace(),
            };
            match stopped.get_or_insert_with(Instant::now).elapsed() {
                waited if waited > grace => launcher.kill(&self.attempt),
                _ => launcher.stop(&self.attempt),
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Reacts to what is known of the worker; `Some` where it reports nothing more.
    fn react(
        &mut self,
        status: WorkerStatus,
        launcher: &impl Launcher,
    ) -> Result<Option<AttemptEnd>, JobError> {
        let waiting = match status {
            WorkerStatus::Running => None,
            WorkerStatus::Waiting { cause, reason } => Some((cause, reason)),
            WorkerStatus::Ended(exit) => return self.died(&exit).map(Some),
            WorkerStatus::Missing if self.followed > 0 || self.running.should_stop() => {
                let exit = WorkerExit {
                    evicted: true,
                    reason: "it was removed".to_owned(),
                    ..WorkerExit::default()
                };
                return self.died(&exit).map(Some);
            }
            WorkerStatus::Missing if Instant::now() < self.restart.1 => {
                let reason = "its worker was removed before it began; it is started again";
                Some((WaitCause::Start, reason.to_owned()))
            }
            WorkerStatus::Missing => {
                let pause = self.restart.0;
                self.restart = (LONGEST_RESTART.min(pause * 2), Instant::now() + pause);
                tracing::warn!(attempt = %self.attempt, "the worker of an attempt is missing and has not begun; starting it again");
                start_worker(launcher, self.slot, self.job, &self.attempt, self.outages())?;
                None
            }
        };
        self.show_waiting(waiting)?;
        Ok(None)
    }

    /// Records why the worker does not run yet, whenever that changes.
    fn show_waiting(&mut self, waiting: Option<(WaitCause, String)>) -> Result<(), JobError> {
        if waiting == self.waiting {
            return Ok(());
        }
        let context = &self.slot.context;
        let (job, attempt) = (self.job.id, self.attempt.number);
        let write = || context.store.record_waiting(job, attempt, waiting.clone());
        context.runtime.block_on(self.outages().outlast(write))?;
        if let Some((cause, reason)) = &waiting {
            tracing::info!(attempt = %self.attempt, cause = cause.as_str(), reason, "the worker of a job does not run yet");
        }
        self.waiting = waiting;
        Ok(())
    }

    fn next(&self) -> Result<Option<AttemptReport>, JobError> {
        let context = &self.slot.context;
        let read = || async {
            let found = self.attempt.report(&context.storage, self.followed + 1);
            found.await.map_err(PublishError::Storage)
        };
        let outages = self.outages().of_reports();
        let found = context.runtime.block_on(outages.outlast(read))?;
        let report = found.as_deref().map(wire::report_from).transpose();
        report.map_err(JobError::UnknownReport)
    }

    /// Takes in the next report; `Some` for the last one, which is taken in by the write of the
    /// job's outcome: a trainer that follows this one before that reads it again.
    fn take_in(&mut self, report: AttemptReport) -> Result<Option<WorkerEnd>, JobError> {
        let context = &self.slot.context;
        self.running.set_spent(report.spent);
        if let Report::Ended(_) = &report.report {
            return Ok(self.show(report));
        }
        if let Report::Checkpoint(draft) = &report.report {
            let (epoch, publishing) = (draft.epoch, self.publish(draft));
            let published = context.runtime.block_on(publishing);
            published.map_err(|source| JobError::Publish { epoch, source })?;
        }
        let number = self.followed + 1;
        let write = || {
            let report = report.clone();
            context
                .store
                .take_in(self.job.id, self.attempt.number, number, report)
        };
        let taken = context.runtime.block_on(self.outages().outlast(write))?;
        self.followed = number;
        self.curve.rows(&taken.rows);
        self.remove_obsolete(&taken.obsolete);
        Ok(self.show(report))
    }

    /// Publishes a checkpoint of which the draft is on the storage, unless it is published already.
    async fn publish(&self, reported: &DraftReport) -> Result<(), PublishError> {
        let context = &self.slot.context;
        let planned = PlannedCheckpoint {
            epoch: reported.epoch,
            step: reported.step,
            taken: Instant::now(),
            weights_sha256: reported.weights_sha256.clone(),
        };
        let outages = self.outages().of_reports();
        let draft = async {
            let fetch = || async {
                let draft = self.attempt.draft(&context.storage, reported.number);
                draft.await.map_err(PublishError::Storage)
            };
            Ok(draft_from(outages.outlast(fetch).await?)?)
        };
        if let Some(prepared) = self.publisher.plan(planned, draft).await? {
            self.show_checkpoint(&prepared.draft);
            self.publisher.publish(&prepared).await?;
        }
        Ok(())
    }

    /// Shows a report in the metrics.
    fn show(&mut self, report: AttemptReport) -> Option<WorkerEnd> {
        let metrics = self.slot.context.metrics.clone();
        self.running.set_step(report.step);
        if let Some(series) = &self.series {
            series.set(Gauge::Step, report.step as f64);
        }
        match (report.report, self.series.clone()) {
            (Report::Began { device, .. }, _) => {
                show_queued(self.job, &metrics);
                self.show_begin(device);
            }
            (Report::Started(facts), Some(series)) => {
                self.samples = SampleCounter::new(self.batch_size, &facts);
                progress::show_start(&facts, &series, &metrics);
            }
            (Report::Rows(rows), Some(series)) => {
                self.samples.count(report.step, &metrics);
                if let Some(row) = rows.last() {
                    progress::show_row(row, &series);
                }
            }
            (Report::Bundle(bundle), _) => metrics.bundle_written(bundle.elapsed),
            (Report::Checkpoint(draft), _) => self.remove_draft(draft.number),
            (Report::Ended(end), _) => return Some(end),
            (
                Report::Opened { .. } | Report::Started(_) | Report::Rows(_) | Report::Progress,
                _,
            ) => {}
        }
        None
    }

    fn show_begin(&mut self, device: String) {
        let info = JobInfo {
            device,
            ..self.info.clone()
        };
        self.series = Some(self.slot.context.metrics.job_begins(info));
    }

    fn show_checkpoint(&self, draft: &Draft) {
        let manifest = &draft.manifest;
        if let (Some(calibration), Some(series)) = (&manifest.metrics.calibration, &self.series) {
            progress::show_calibration(manifest.temperature, calibration, series);
        }
        if let Some(report) = &manifest.report {
            self.slot.context.metrics.report_made(Some(report.seconds));
        }
    }

    fn end(&self, end: WorkerEnd, at_shutdown: AtShutdown) -> AttemptEnd {
        match end {
            WorkerEnd::Finished {
                outcome,
                loss_not_finite,
            } => {
                if loss_not_finite {
                    self.slot.context.metrics.loss_not_finite();
                }
                self.show_end(&outcome);
                AttemptEnd::Finished(outcome)
            }
            WorkerEnd::Stopped(outcome) => {
                self.show_end(&outcome);
                match (self.running.stop_reason(), at_shutdown) {
                    (Some(StopReason::Cancel), _) => AttemptEnd::Finished(outcome),
                    (Some(StopReason::Shutdown), AtShutdown::Stop(_)) => {
                        AttemptEnd::Released(outcome)
                    }
                    (_, AtShutdown::Leave) => AttemptEnd::Evicted("it was told to stop".to_owned()),
                    (Some(StopReason::Deadline) | None, AtShutdown::Stop(_)) => {
                        tracing::warn!(attempt = %self.attempt, "the worker of a job was stopped, but not by this trainer");
                        AttemptEnd::Crashed
                    }
                }
            }
        }
    }

    fn show_end(&self, outcome: &JobOutcome) {
        let Some(series) = &self.series else { return };
        series.end();
        if let Some(test) = &outcome.test {
            series.set_test(test.loss, test.accuracy());
        }
    }

    fn died(&self, exit: &WorkerExit) -> Result<AttemptEnd, JobError> {
        self.show_end(&JobOutcome::cancelled());
        match self.running.stop_reason() {
            Some(StopReason::Cancel) => Ok(AttemptEnd::Finished(JobOutcome::cancelled())),
            Some(StopReason::Shutdown) => Ok(AttemptEnd::Released(JobOutcome::cancelled())),
            Some(StopReason::Deadline) | None => match exit.code {
                _ if exit.evicted => Ok(AttemptEnd::Evicted(exit.reason.clone())),
                Some(code) if self.followed == 0 && NOT_BEGUN.contains(&code) => {
                    let reason = exit.reason.clone();
                    Err(JobError::NotBegun { code, reason })
                }
                code => {
                    let reason = &exit.reason;
                    tracing::warn!(attempt = %self.attempt, code, reason, "the worker of a job has died");
                    Ok(AttemptEnd::Crashed)
                }
            },
        }
    }

    fn remove_obsolete(&self, bundles: &[ResumePoint]) {
        for point in bundles {
            let attempt = Attempt {
                number: point.attempt,
                ..self.attempt.clone()
            };
            self.remove(attempt.delete_bundle(&self.slot.context.storage, point.number));
        }
    }

    fn remove_draft(&self, number: u64) {
        self.remove(
            self.attempt
                .delete_draft(&self.slot.context.storage, number),
        );
    }

    fn remove(&self, removal: impl Future<Output = Result<(), StorageError>>) {
        if let Err(error) = self.slot.context.runtime.block_on(removal) {
            // All of the job is removed at its end.
            tracing::debug!(attempt = %self.attempt, %error, "what an attempt left on the storage is not removed yet");
        }
    }

    fn outages(&self) -> Outages<'_> {
        let context = &self.slot.context;
        Outages::new(
            self.job.id,
            self.running,
            Some(&context.store),
            context.max_outage,
        )
    }
}
