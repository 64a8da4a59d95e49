//! Kills the trainer and its workers at random moments, and compares the results with those of an
//! undisturbed run.
//!
//! Jobs are submitted continuously, so that a kill always hits one, and each is watched across all
//! restarts.

mod evidence;
mod faults;
mod processes;
mod random;
mod victim;

pub use evidence::{Evidence, same, timeless, undisturbed};
pub use faults::Fault;
pub use random::Random;
pub use victim::{BundleFolders, Victim, listen};

use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox};
use digits_proto::v1::{
    JobSpec, JobState, SubmitJobRequest, WatchJobResponse,
    training_service_client::TrainingServiceClient, watch_job_response::Event,
};
use digits_testing::{patience, until};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use uuid::Uuid;

/// Unfinished jobs that are kept while kills remain.
const UNFINISHED: usize = 3;
/// A running trainer is killed within the first of these times, a starting one within the second.
const LIFE: Duration = Duration::from_millis(700);
const START: Duration = Duration::from_millis(600);
/// Warnings of a trainer that was killed or whose worker was.
const EXPECTED: &[&str] = &[
    "job resumed: the last process ended while it ran",
    "job resumed: its worker process died",
    "the worker of a job has died",
];
/// Kills without progress, after which the next kill waits: one more would rightly abandon the job.
const DEATHS_AT_MOST: u32 = 2;

/// What was done in a trial, and what was compared.
#[derive(Debug, Default)]
pub struct Summary {
    /// SIGKILLs while it started.
    pub killed_starting: usize,
    /// SIGKILLs while it served.
    pub killed_serving: usize,
    /// SIGKILLs of workers.
    pub killed_workers: usize,
    /// SIGTERMs.
    pub told_to_end: usize,
    /// Jobs.
    pub jobs: usize,
    /// Attempts that resumed from a bundle.
    pub from_bundle: usize,
    /// Attempts that started at the first step.
    pub from_start: usize,
    /// Rows and checkpoints that were compared.
    pub rows: usize,
    /// Checkpoints that were compared.
    pub checkpoints: usize,
    /// Events that were received.
    pub events: usize,
    /// Expected warnings and errors in the trainer's log.
    pub warnings: usize,
}

impl Summary {
    /// What was done.
    #[must_use]
    pub fn done(&self) -> String {
        format!(
            "{} SIGKILL while serving, {} while starting, {} of workers, {} SIGTERM; {} attempts resumed, {} began anew",
            self.killed_serving,
            self.killed_starting,
            self.killed_workers,
            self.told_to_end,
            self.from_bundle,
            self.from_start,
        )
    }

    /// What was lost or differs: nothing, or the trial would have failed.
    #[must_use]
    pub fn lost(&self) -> String {
        format!(
            "0 of {} jobs, {} rows, {} checkpoints, {} events",
            self.jobs, self.rows, self.checkpoints, self.events
        )
    }

    /// SIGKILLs.
    #[must_use]
    pub fn kills(&self) -> usize {
        self.killed_starting + self.killed_serving + self.killed_workers
    }
}

/// A sandbox whose trainer is killed.
pub struct Torture {
    sandbox: Sandbox,
    specs: Vec<JobSpec>,
    random: Random,
    victims: Vec<Victim>,
    /// Unfinished jobs that are kept while further ones are to come.
    unfinished: usize,
    /// Jobs at most.
    max_jobs: usize,
    /// Kills of a job without progress, after which the next kill waits.
    deaths_at_most: u32,
    summary: Summary,
}

impl Torture {
    /// For jobs of these specs, in rotation.
    pub fn new(specs: Vec<JobSpec>, seed: u64) -> Result<Self> {
        Ok(Self {
            sandbox: Sandbox::new(patience())?,
            specs,
            random: Random::new(seed),
            victims: Vec::new(),
            unfinished: UNFINISHED,
            max_jobs: usize::MAX,
            deaths_at_most: DEATHS_AT_MOST,
            summary: Summary::default(),
        })
    }

    /// Kills the trainer `kills` times, waits for the jobs to end, and compares the results.
    pub async fn run(mut self, kills: usize) -> Result<Summary> {
        while self.summary.kills() < kills {
            if self.random.once_in(6) && self.at_risk().next().is_none() {
                self.kill_a_start().await?;
            } else {
                self.round().await?;
            }
        }
        self.end(&[], EXPECTED).await?;
        Ok(self.summary)
    }

    fn state(&self) -> PathBuf {
        self.sandbox.dir().join("state")
    }

    fn folders(&self) -> BundleFolders {
        BundleFolders {
            state: self.state(),
            storage: self.sandbox.dir().join("storage"),
        }
    }

    /// Runs the trainer for a random time.
    async fn round(&mut self) -> Result<()> {
        let interval = format!("{}ms", [10, 50, 200][self.random.below(3) as usize]);
        let workers = (1 + self.random.below(2)).to_string();
        self.sandbox
            .start_trainer(&["--bundle-interval", &interval, "--workers", &workers])
            .await?;
        let training = self.sandbox.training().await?;
        self.submit_all(&training).await?;
        let listening = self.listen(&training);
        self.wait_for_progress().await?;
        tokio::time::sleep(self.random.time(LIFE)).await;
        // It may have been accepted; the next process shows it.
        let mut late = None;
        if self.random.once_in(4) {
            let victim = self.new_victim();
            let request = self.request(&victim);
            let mut training = training.clone();
            late = Some((
                victim,
                tokio::spawn(async move { training.submit_job(request).await }),
            ));
        }
        let killed = !self.random.once_in(6);
        if killed {
            self.sandbox.take_trainer()?.crash()?;
            self.summary.killed_serving += 1;
        } else {
            let status = self.sandbox.take_trainer()?.stop().await?;
            ensure!(status.success(), "after SIGTERM it ended with {status}");
            self.summary.told_to_end += 1;
        }
        if let Some((mut victim, submitting)) = late {
            let answer = submitting.await?.ok();
            if let Some(job) = answer.and_then(|answer| answer.into_inner().job) {
                victim.is_known_as(job.job_id, &self.folders());
            }
            // It may have started before the kill.
            self.victims.push(victim);
        }
        if killed {
            self.note_deaths();
        }
        self.hear(listening).await
    }

    /// Kills the trainer before, during or just after the recovery at its start.
    async fn kill_a_start(&mut self) -> Result<()> {
        let after = self.random.time(START);
        self.sandbox.start_and_crash_trainer(after).await?;
        self.summary.killed_starting += 1;
        self.note_deaths();
        Ok(())
    }

    fn note_deaths(&mut self) {
        let folders = self.folders();
        for victim in self.victims.iter_mut().filter(|victim| !victim.has_ended()) {
            victim.note_death(&folders);
        }
    }

    fn new_victim(&self) -> Victim {
        let kind = self.victims.len() % self.specs.len();
        Victim::new(Uuid::now_v7().to_string(), kind)
    }

    fn request(&self, victim: &Victim) -> SubmitJobRequest {
        SubmitJobRequest {
            request_id: victim.request_id.clone(),
            spec: Some(self.specs[victim.kind].clone()),
        }
    }

    /// Submits new jobs, and unfinished ones again: an accepted job must exist under the same id.
    async fn submit_all(&mut self, training: &TrainingServiceClient<Channel>) -> Result<()> {
        while self.victims.len() < self.max_jobs
            && self.victims.iter().filter(|v| !v.has_ended()).count() < self.unfinished
        {
            let victim = self.new_victim();
            self.victims.push(victim);
        }
        let mut training = training.clone();
        for number in 0..self.victims.len() {
            let victim = &self.victims[number];
            if victim.has_ended() {
                continue;
            }
            let answer = training.submit_job(self.request(victim)).await?;
            let job = answer.into_inner().job.context("a job")?;
            match &self.victims[number].job_id {
                Some(known) => ensure!(
                    *known == job.job_id,
                    "{known} was accepted, now it is {}",
                    job.job_id
                ),
                None => {
                    let folders = self.folders();
                    self.victims[number].is_known_as(job.job_id, &folders);
                }
            }
        }
        Ok(())
    }

    /// Watches every unfinished job from its last received event on.
    fn listen(
        &self,
        training: &TrainingServiceClient<Channel>,
    ) -> Vec<(usize, JoinHandle<Result<Vec<WatchJobResponse>>>)> {
        let unfinished = self.victims.iter().enumerate();
        unfinished
            .filter(|(_, victim)| !victim.has_ended())
            .filter_map(|(number, victim)| {
                let after = victim.events.len() as u64;
                let job_id = victim.job_id.clone()?;
                let listening = listen(training.clone(), job_id, after);
                Some((number, tokio::spawn(listening)))
            })
            .collect()
    }

    async fn hear(
        &mut self,
        listening: Vec<(usize, JoinHandle<Result<Vec<WatchJobResponse>>>)>,
    ) -> Result<()> {
        for (number, heard) in listening {
            // Jobs may be queued behind each other.
            let events =
                tokio::time::timeout(patience() * self.unfinished as u32, heard).await???;
            self.victims[number].hear(events)?;
        }
        Ok(())
    }

    /// Jobs that another kill without progress would rightly abandon.
    fn at_risk(&self) -> impl Iterator<Item = &Victim> {
        self.victims.iter().filter(|victim| {
            !victim.has_ended() && victim.deaths_without_progress >= self.deaths_at_most
        })
    }

    /// Waits until each of those has progressed.
    async fn wait_for_progress(&self) -> Result<()> {
        let mut training = self.sandbox.training().await?;
        let folders = self.folders();
        for victim in self.at_risk() {
            let id = victim.job_id.as_deref().context("it was submitted")?;
            until("progress of a job", async || {
                let state_now = jobs::get(&mut training, id).await?.state();
                let unfinished = matches!(state_now, JobState::Queued | JobState::Running);
                Ok((!unfinished || victim.got_further(&folders)).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Starts the trainer again, and ends as [`Torture::finish`] does.
    async fn end(&mut self, flags: &[&str], expected: &[&str]) -> Result<()> {
        self.sandbox.start_trainer(flags).await?;
        self.finish(expected).await
    }

    /// Waits for every job to end, and compares each with an undisturbed one. The log may have
    /// warnings that contain one of `warnings`.
    async fn finish(&mut self, warnings: &[&str]) -> Result<()> {
        let mut training = self.sandbox.training().await?;
        self.submit_all(&training).await?;
        let listening = self.listen(&training);
        self.hear(listening).await?;
        let expected = undisturbed(&self.specs).await?;
        for victim in &self.victims {
            let id = victim.job_id.as_deref().context("it was submitted")?;
            let job = jobs::get(&mut training, id).await?;
            ensure!(
                job.state() == JobState::Succeeded,
                "job {id} ended as {:?}: {}",
                job.state(),
                job.error
            );
            let found = Evidence::of(&self.sandbox, &mut training, &job).await?;
            same(id, &found, &expected[victim.kind])?;
            events_match(victim, &found)?;
            let mut again = Vec::new();
            jobs::watch(&mut training, id, |event| again.push(event.clone())).await?;
            ensure!(
                again == victim.events,
                "job {id}: events changed afterwards"
            );
            self.summary.rows += found.rows.len();
            self.summary.checkpoints += found.checkpoints.len();
            self.summary.events += again.len();
        }
        self.summary.jobs = self.victims.len();
        let log = self.sandbox.trainer()?.log()?;
        self.read_log(&log, warnings)?;
        let left = std::fs::read_dir(self.state().join("bundles"))?.count();
        ensure!(left == 0, "{left} bundles of ended jobs are left");
        let runs = self.sandbox.dir().join("storage/runs");
        let left = std::fs::read_dir(runs).map_or(0, Iterator::count);
        ensure!(
            left == 0,
            "{left} runs of ended jobs are left on the storage"
        );
        let status = self.sandbox.take_trainer()?.stop().await?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// Counts where attempts started, and checks that the log has nothing unexpected.
    fn read_log(&mut self, log: &str, warnings: &[&str]) -> Result<()> {
        for line in log.lines() {
            let expected = warnings.iter().any(|warning| line.contains(warning));
            let warns = line.contains(" WARN ") || line.contains(" ERROR ");
            self.summary.warnings += usize::from(warns);
            ensure!(expected || !warns, "unexpected in the log: {line}");
            if line.contains("training starts") {
                if line.contains("from_step=0") {
                    self.summary.from_start += 1;
                } else {
                    self.summary.from_bundle += 1;
                }
            }
        }
        Ok(())
    }
}

/// Compares the received events of a job with its results: each row and each checkpoint once.
fn events_match(victim: &Victim, found: &Evidence) -> Result<()> {
    let mut rows = Vec::new();
    let mut epochs: BTreeMap<u32, usize> = BTreeMap::new();
    for event in &victim.events {
        match &event.event {
            Some(Event::Row(row)) => rows.push(timeless(*row)),
            Some(Event::CheckpointPublished(published)) => {
                *epochs.entry(published.epoch).or_default() += 1;
            }
            _ => {}
        }
    }
    ensure!(
        rows == found.rows,
        "job {:?}: its events have other rows",
        victim.job_id
    );
    let published: BTreeMap<u32, usize> = found
        .checkpoints
        .iter()
        .map(|checkpoint| (checkpoint.epoch as u32, 1))
        .collect();
    ensure!(
        epochs == published,
        "job {:?}: checkpoints in events by epoch {epochs:?}, published {published:?}",
        victim.job_id
    );
    Ok(())
}
