//! Jobs in worker processes (`--executor process`): their results and what clients see are those of
//! jobs on the trainer's threads, and workers outlive the trainer.

use crate::support::torture::{Evidence, same, undisturbed};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{
    jobs,
    sandbox::Sandbox,
    specs,
    workers::{Worker, lock_files},
};
use digits_proto::v1::{
    ArchitectureSpec, CancelJobRequest, HiddenLayers, Job, JobSpec, JobState, LimitsSpec,
    PublishPolicy, PublishSpec, Sgd, job_spec::Optimizer,
    training_service_client::TrainingServiceClient,
};
use digits_testing::{patience, until};
use rustix::process::Signal;
use std::{
    fs::{self, File},
    path::PathBuf,
};
use tonic::transport::Channel;

type Training = TrainingServiceClient<Channel>;

const PROCESSES: [&str; 4] = ["--executor", "process", "--bundle-interval", "20ms"];

/// A job that does not end while a test runs.
fn endless() -> JobSpec {
    JobSpec {
        publish: Some(PublishSpec {
            policy: PublishPolicy::Final.into(),
        }),
        ..specs::synthetic(10_000)
    }
}

fn state(sandbox: &Sandbox) -> PathBuf {
    sandbox.dir().join("state")
}

/// The worker of a job, once it has reported a row.
async fn worker_of(sandbox: &Sandbox, training: &mut Training, id: &str) -> Result<Worker> {
    until("a row of the job's worker", async || {
        let rows = jobs::history(training, id).await?;
        let mut workers = Worker::alive(&state(sandbox))?;
        workers.retain(|worker| worker.job_id == id);
        Ok(workers.pop().filter(|_| !rows.is_empty()))
    })
    .await
}

async fn reach(training: &mut Training, id: &str, wanted: JobState) -> Result<Job> {
    until(&format!("{wanted:?}"), async || {
        let job = jobs::get(training, id).await?;
        Ok((job.state() == wanted).then_some(job))
    })
    .await
}

async fn cancel(training: &mut Training, id: &str) -> Result<Job> {
    let job_id = id.to_owned();
    training.cancel_job(CancelJobRequest { job_id }).await?;
    reach(training, id, JobState::Cancelled).await
}

/// Nothing of a worker is left once its job is over.
async fn assert_nothing_left(sandbox: &Sandbox) -> Result<()> {
    let runs = sandbox.dir().join("storage/runs");
    until("no lock files and runs", async || {
        let runs = fs::read_dir(&runs).map_or(0, Iterator::count);
        Ok((runs == 0 && lock_files(&state(sandbox))?.is_empty()).then_some(()))
    })
    .await
}

#[tokio::test]
async fn processes_give_the_results_and_errors_of_threads() -> Result<()> {
    let diverging = JobSpec {
        optimizer: Some(Optimizer::Sgd(Sgd {
            learning_rate: Some(100.0),
            momentum: Some(0.999),
            ..Sgd::default()
        })),
        architecture: Some(ArchitectureSpec {
            hidden: Some(HiddenLayers {
                widths: vec![50; 5],
            }),
            ..ArchitectureSpec::default()
        }),
        ..specs::synthetic(50)
    };
    let late = JobSpec {
        limits: Some(LimitsSpec {
            deadline: Some(prost_types::Duration {
                seconds: 1,
                nanos: 0,
            }),
        }),
        ..endless()
    };
    let every_epoch = JobSpec {
        publish: Some(PublishSpec {
            policy: PublishPolicy::EveryEpoch.into(),
        }),
        report: Some(true),
        ..specs::synthetic(4)
    };
    let mut errors = Vec::new();
    for flags in [&[][..], &PROCESSES] {
        let mut sandbox = Sandbox::new(patience())?;
        sandbox.start_trainer(flags).await?;
        let mut training = sandbox.training().await?;
        let mut found = Vec::new();
        for spec in [&diverging, &late] {
            let job = jobs::submit(&mut training, spec.clone()).await?;
            let job = jobs::watch(&mut training, &job.job_id, |_| {}).await?;
            ensure!(job.state() == JobState::Failed, "{job:?}");
            // The step at which a deadline passes differs.
            found.push(job.error.split(" at step").next().map(str::to_owned));
        }
        errors.push(found);
        if !flags.is_empty() {
            let job = jobs::run(&mut training, every_epoch.clone()).await?;
            let evidence = Evidence::of(&sandbox, &mut training, &job).await?;
            let expected = undisturbed(std::slice::from_ref(&every_epoch)).await?;
            same(&job.job_id, &evidence, &expected[0])?;
            assert_eq!(job.attempts, 1);
            ensure!(job.promotion.is_some(), "{job:?}");
            assert_nothing_left(&sandbox).await?;
        }
        sandbox.stop().await?;
    }
    assert_eq!(errors[0], errors[1]);
    Ok(())
}

#[tokio::test]
async fn a_worker_outlives_its_trainer_and_is_followed_by_the_next() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&PROCESSES).await?;
    let mut training = sandbox.training().await?;
    let id = jobs::submit(&mut training, endless()).await?.job_id;
    let worker = worker_of(&sandbox, &mut training, &id).await?;
    sandbox.take_trainer()?.crash()?;
    ensure!(worker.is_alive(), "the worker has ended with its trainer");

    sandbox.start_trainer(&PROCESSES).await?;
    let mut training = sandbox.training().await?;
    let before = jobs::history(&mut training, &id).await?.len();
    until("further rows", async || {
        let rows = jobs::history(&mut training, &id).await?.len();
        Ok((rows > before).then_some(()))
    })
    .await?;
    let job = jobs::get(&mut training, &id).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Running, 1));
    assert_eq!(worker_of(&sandbox, &mut training, &id).await?.attempt, 1);

    // The next trainer has not started the worker, and stops it nevertheless.
    let job = cancel(&mut training, &id).await?;
    ensure!(job.progress.context("progress")?.step > 0, "{job:?}");
    ensure!(!worker.is_alive(), "the worker goes on");
    assert_nothing_left(&sandbox).await?;
    sandbox.stop().await
}

#[tokio::test]
async fn a_killed_worker_and_a_stopped_trainer_cost_no_progress() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&PROCESSES).await?;
    let mut training = sandbox.training().await?;
    let id = jobs::submit(&mut training, endless()).await?.job_id;
    let worker = worker_of(&sandbox, &mut training, &id).await?;
    worker.signal(Signal::KILL);
    let second = until("the second attempt", async || {
        let worker = worker_of(&sandbox, &mut training, &id).await?;
        Ok((worker.attempt == 2).then_some(worker))
    })
    .await?;
    assert_eq!(jobs::get(&mut training, &id).await?.attempts, 2);
    // Else it may be stopped before it trains, and the first may have died without a bundle.
    let before = jobs::history(&mut training, &id).await?.len();
    until("rows of the second attempt", async || {
        let rows = jobs::history(&mut training, &id).await?.len();
        Ok((rows > before).then_some(()))
    })
    .await?;

    // A shutdown is no crash.
    let status = sandbox.take_trainer()?.stop().await?;
    ensure!(status.success(), "{status}");
    ensure!(!second.is_alive(), "the worker goes on");
    sandbox.start_trainer(&PROCESSES).await?;
    let mut training = sandbox.training().await?;
    let third = worker_of(&sandbox, &mut training, &id).await?;
    assert_eq!(third.attempt, 3);
    let job = jobs::get(&mut training, &id).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Running, 2));
    let starts = until("three starts in the log", async || {
        let log = sandbox.trainer()?.log()?;
        let starts = log.lines().filter(|it| it.contains("training starts"));
        let from: Vec<bool> = starts.map(|it| it.contains("from_step=0")).collect();
        Ok((from.len() == 3).then_some(from))
    })
    .await?;
    ensure!(starts[0] && !starts[2], "from the first step: {starts:?}");
    cancel(&mut training, &id).await?;
    let rows = jobs::history(&mut training, &id).await?;
    ensure!(
        rows.windows(2).all(|pair| pair[0].step < pair[1].step),
        "rows once, in order"
    );
    assert_nothing_left(&sandbox).await?;
    sandbox.stop().await
}

/// SIGTERM to a worker alone costs its job an attempt and no progress.
#[tokio::test]
async fn a_worker_that_is_stopped_alone_counts_as_dead() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&PROCESSES).await?;
    let mut training = sandbox.training().await?;
    let id = jobs::submit(&mut training, endless()).await?.job_id;
    let worker = worker_of(&sandbox, &mut training, &id).await?;
    worker.signal(Signal::TERM);
    until("the second attempt", async || {
        let worker = worker_of(&sandbox, &mut training, &id).await?;
        Ok((worker.attempt == 2).then_some(()))
    })
    .await?;
    let job = jobs::get(&mut training, &id).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Running, 2));
    cancel(&mut training, &id).await?;
    assert_nothing_left(&sandbox).await?;
    sandbox.stop().await
}

/// A machine on which no worker can begin costs no job an attempt.
#[tokio::test]
async fn jobs_wait_while_no_worker_can_begin() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    let config = sandbox.dir().join("datasets.toml");
    fs::write(&config, "")?;
    let path = config.to_str().context("UTF-8")?;
    let flags = [&PROCESSES[..], &["--config", path]].concat();
    sandbox.start_trainer(&flags).await?;
    let mut training = sandbox.training().await?;
    fs::remove_file(&config)?;
    let id = jobs::submit(&mut training, endless()).await?.job_id;
    until("a worker that does not begin", async || {
        let log = sandbox.trainer()?.log()?;
        Ok(log.contains("exit code 64").then_some(()))
    })
    .await?;
    fs::write(&config, "")?;
    let worker = worker_of(&sandbox, &mut training, &id).await?;
    ensure!(worker.attempt > 1, "the first attempt had not begun");
    let job = jobs::get(&mut training, &id).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Running, 1));
    cancel(&mut training, &id).await?;
    assert_nothing_left(&sandbox).await?;
    sandbox.stop().await
}

#[tokio::test]
async fn a_test_that_fails_leaves_no_worker_behind() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&PROCESSES).await?;
    let mut training = sandbox.training().await?;
    let id = jobs::submit(&mut training, endless()).await?.job_id;
    worker_of(&sandbox, &mut training, &id).await?;
    let lock = lock_files(&state(&sandbox))?;
    let lock = File::open(lock.first().context("a lock file")?)?;
    ensure!(lock.try_lock().is_err(), "the worker holds its lock");
    drop(sandbox);
    until("its end", async || Ok(lock.try_lock().ok())).await
}
