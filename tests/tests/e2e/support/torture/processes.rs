//! Kills workers, the trainer and both, while jobs train in worker processes.

use super::{EXPECTED, Summary, Torture};
use anyhow::{Result, ensure};
use digits_e2e::workers::{Worker, lock_files};
use digits_testing::until;
use rustix::process::Signal;
use std::time::Duration;

/// A worker process is killed within this time.
const WORKER_LIFE: Duration = Duration::from_millis(1_500);

impl Torture {
    /// Trains `jobs` jobs in processes, `workers` at a time, kills workers, the trainer and both
    /// meanwhile, and compares the results.
    pub async fn run_in_processes(mut self, jobs: usize, workers: usize) -> Result<Summary> {
        self.max_jobs = jobs;
        // Progress is seen one bundle late: the newest may not be reported yet.
        self.deaths_at_most = 1;
        self.unfinished = workers + 2;
        let workers = workers.to_string();
        let flags = ["--executor", "process", "--workers", &workers];
        while self.victims.iter().filter(|v| v.has_ended()).count() + self.unfinished < jobs {
            self.round_in_processes(&flags).await?;
        }
        self.end(&flags, EXPECTED).await?;
        let left = lock_files(&self.state())?.len();
        ensure!(left == 0, "{left} lock files of workers are left");
        Ok(self.summary)
    }

    /// Runs the trainer for a random time, during which workers are killed.
    async fn round_in_processes(&mut self, flags: &[&str]) -> Result<()> {
        let interval = format!("{}ms", [10, 50, 200][self.random.below(3) as usize]);
        let all = [flags, &["--bundle-interval", &interval]].concat();
        self.sandbox.start_trainer(&all).await?;
        let training = self.sandbox.training().await?;
        self.submit_all(&training).await?;
        let listening = self.listen(&training);
        self.wait_for_progress().await?;
        if self.summary.killed_workers == 0 {
            // Chance alone may let all jobs end before a worker is hit.
            until("a worker", async || {
                self.kill_a_worker()?;
                Ok((self.summary.killed_workers > 0).then_some(()))
            })
            .await?;
        }
        for _ in 0..self.random.below(4) {
            tokio::time::sleep(self.random.time(WORKER_LIFE)).await;
            self.kill_a_worker()?;
        }
        tokio::time::sleep(self.random.time(WORKER_LIFE)).await;
        let end = self.random.below(4);
        if end == 0 {
            let status = self.sandbox.take_trainer()?.stop().await?;
            ensure!(status.success(), "after SIGTERM it ended with {status}");
            self.summary.told_to_end += 1;
        } else {
            // The kills of this round may have put further jobs at risk.
            self.wait_for_progress().await?;
            self.sandbox.take_trainer()?.crash()?;
            self.summary.killed_serving += 1;
            if end > 1 {
                for worker in Worker::alive(&self.state())? {
                    worker.signal(Signal::KILL);
                    self.summary.killed_workers += 1;
                }
            }
            // A worker may have been about to start.
            self.note_deaths();
        }
        self.hear(listening).await
    }

    /// Kills a worker of a job that may die once more without progress.
    fn kill_a_worker(&mut self) -> Result<()> {
        let risked: Vec<&str> = self
            .at_risk()
            .filter_map(|it| it.job_id.as_deref())
            .collect();
        let mut workers = Worker::alive(&self.state())?;
        workers.retain(|worker| !risked.contains(&worker.job_id.as_str()));
        if workers.is_empty() {
            return Ok(());
        }
        let chosen = self.random.below(workers.len() as u64) as usize;
        let worker = workers.swap_remove(chosen);
        worker.signal(Signal::KILL);
        self.summary.killed_workers += 1;
        let folders = self.folders();
        let mut victims = self.victims.iter_mut();
        if let Some(victim) = victims.find(|it| it.job_id.as_ref() == Some(&worker.job_id)) {
            victim.note_death(&folders);
        }
        Ok(())
    }
}
