//! The trainer's journal: its node is lost, and it comes up with another state folder.

use crate::support::{
    http, moto,
    torture::{Evidence, undisturbed},
};
use anyhow::{Context as _, Result};
use digits_e2e::{
    jobs,
    process::Service,
    sandbox::{Sandbox, channel},
    specs,
    workers::Worker,
};
use digits_proto::v1::{
    CancelJobRequest, GetHistoryRequest, Job, JobSpec, JobState, PublishPolicy, PublishSpec,
    SubmitJobRequest, training_service_client::TrainingServiceClient,
};
use digits_testing::{patience, until};
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, path::Path, process::Command};
use tonic::{Code, Status, transport::Channel};

type Training = TrainingServiceClient<Channel>;

const JOURNAL: [&str; 3] = ["--journal", "--trainer-name", "t"];
/// A trainer that falls silent is lost after a second.
const SHORT: [&str; 2] = ["--journal-lease", "1s"];
/// Only one that has ended in an orderly way, or was in the same folder, is not waited for.
const NEVER: [&str; 2] = ["--journal-lease", "24h"];
/// Nobody is waited for.
const AT_ONCE: [&str; 3] = ["--journal-lease", "24h", "--recover-from-storage"];

/// A trainer with a state folder of its own, as on a node of its own.
async fn start(sandbox: &Sandbox, node: &'static str, flags: &[&str]) -> Result<Service> {
    let mut command = Command::new(sandbox.binary("digits-trainer"));
    command
        .args(["--storage", &sandbox.storage(), "--state"])
        .arg(sandbox.dir().join(node))
        .args(JOURNAL)
        .args(flags);
    sandbox.start(node, command).await
}

/// A client, once the trainer answers.
async fn training(trainer: &Service) -> Result<Training> {
    until("the trainer serves", async || {
        let Ok(channel) = channel(&trainer.grpc()).await else {
            return Ok(None);
        };
        let mut training = TrainingServiceClient::new(channel);
        let listed = training.list_jobs(digits_proto::v1::ListJobsRequest::default());
        Ok(listed.await.is_ok().then_some(training))
    })
    .await
}

async fn submit(training: &mut Training, request_id: &str, spec: JobSpec) -> Result<Job, Status> {
    let request = SubmitJobRequest {
        request_id: request_id.to_owned(),
        spec: Some(spec),
    };
    let response = training.submit_job(request).await?.into_inner();
    Ok(response.job.expect("a job"))
}

fn signal(trainer: &Service, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(trainer.pid())?).context("a process id")?;
    Ok(kill_process(pid, signal)?)
}

async fn rows(training: &mut Training, job: &str) -> Result<usize> {
    let request = GetHistoryRequest {
        job_id: job.to_owned(),
        max_rows: 10_000,
    };
    Ok(training.get_history(request).await?.into_inner().rows.len())
}

/// A job of a second or more.
fn long() -> JobSpec {
    specs::synthetic(200)
}

/// A job of some seconds that publishes once, at its end.
fn longer() -> JobSpec {
    JobSpec {
        publish: Some(PublishSpec {
            policy: PublishPolicy::Final.into(),
        }),
        ..specs::synthetic(400)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_loses_no_job() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let first = start(&sandbox, "node-1", &[]).await?;
    let mut client = training(&first).await?;
    let finished = jobs::run(&mut client, specs::synthetic(1)).await?;
    let history = rows(&mut client, &finished.job_id).await?;
    let running = submit(&mut client, "running", long()).await?;
    let waiting = submit(&mut client, "waiting", specs::synthetic(2)).await?;
    let cancelled = submit(&mut client, "cancelled", specs::synthetic(1)).await?;
    let cancel = CancelJobRequest {
        job_id: cancelled.job_id.clone(),
    };
    client.cancel_job(cancel).await?;
    until("rows of the running job", async || {
        Ok((rows(&mut client, &running.job_id).await? > 0).then_some(()))
    })
    .await?;
    first.crash()?;
    fs::remove_dir_all(sandbox.dir().join("node-1"))?;

    let second = start(&sandbox, "node-2", &AT_ONCE).await?;
    let mut client = training(&second).await?;
    let found = jobs::get(&mut client, &finished.job_id).await?;
    assert_eq!(found, finished);
    assert_eq!(rows(&mut client, &finished.job_id).await?, history);
    let found = jobs::get(&mut client, &cancelled.job_id).await?;
    assert_eq!(found.state(), JobState::Cancelled);
    // The keys of idempotency are known, and so are the specs under them.
    let again = submit(&mut client, "waiting", specs::synthetic(2)).await?;
    assert_eq!(again.job_id, waiting.job_id);
    let other = submit(&mut client, "waiting", specs::synthetic(3)).await;
    assert_eq!(
        other.map_err(|status| status.code()),
        Err(Code::AlreadyExists)
    );
    // It starts over, with the same result.
    let mut found = Vec::new();
    for job in [&running, &waiting] {
        let job = jobs::watch(&mut client, &job.job_id, |_| {}).await?;
        assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
        found.push(Evidence::of(&sandbox, &mut client, &job).await?);
    }
    assert_eq!(found, undisturbed(&[long(), specs::synthetic(2)]).await?);
    let ended = second.stop().await?;
    assert!(ended.success(), "{ended}");
    Ok(())
}

/// The worker dies with its node; its bundles are on the storage.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_a_worker_process_goes_on_on_another_node() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let mut flags = vec!["--executor", "process", "--bundle-interval", "20ms"];
    flags.extend(AT_ONCE);
    let first = start(&sandbox, "node-1", &flags).await?;
    let mut client = training(&first).await?;
    let job = submit(&mut client, "running", longer()).await?;
    let attempt = sandbox
        .dir()
        .join("storage/runs")
        .join(&job.job_id)
        .join("1");
    let bundles = attempt.join("bundles");
    // The trainer deletes it once it knows of two later ones.
    let (made, first_bundle) = (
        bundles.join(format!("{:020}", 3)),
        bundles.join(format!("{:020}", 1)),
    );
    until("bundles", async || {
        Ok((made.exists() && !first_bundle.exists()).then_some(()))
    })
    .await?;
    first.crash()?;
    let node = sandbox.dir().join("node-1");
    for worker in Worker::alive(&node)? {
        worker.signal(Signal::KILL);
    }
    fs::remove_dir_all(&node)?;
    let second = start(&sandbox, "node-2", &flags).await?;
    let mut client = training(&second).await?;
    let next = attempt.with_file_name("2").join("attempt.pb");
    until("the next attempt", async || Ok(next.exists().then_some(()))).await?;
    let resumed = "digits_trainer_job_attempts_total{from=\"bundle\"} 1";
    until("it began at a bundle", async || {
        let metrics = http::get(second.admin(), "/metrics")?;
        Ok(metrics.lines().any(|line| line == resumed).then_some(()))
    })
    .await?;
    let job = jobs::watch(&mut client, &job.job_id, |_| {}).await?;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    let found = Evidence::of(&sandbox, &mut client, &job).await?;
    assert_eq!([found], undisturbed(&[longer()]).await?[..]);
    second.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_trainer_that_was_replaced_accepts_nothing_and_stops() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let first = start(&sandbox, "node-1", &SHORT).await?;
    let mut old = training(&first).await?;
    let accepted = submit(&mut old, "before", long()).await?;
    signal(&first, Signal::STOP)?;
    // It falls silent, so that nobody need say that it is lost.
    let second = start(&sandbox, "node-2", &SHORT).await?;
    let mut new = training(&second).await?;
    let found = jobs::get(&mut new, &accepted.job_id).await?;
    assert_eq!(found.request_id, "before");
    let newer = submit(&mut new, "after", specs::synthetic(1)).await?;
    // What it is asked while it sleeps, it is asked when it wakes.
    let late = tokio::spawn(async move { submit(&mut old, "late", specs::synthetic(1)).await });
    signal(&first, Signal::CONT)?;
    let late = late.await?;
    assert!(late.is_err(), "{late:?}");
    let ended = until("the end of the old trainer", async || {
        Ok(first
            .log()?
            .contains("another process has taken the place")
            .then_some(()))
    });
    ended.await?;
    for job in [&accepted, &newer] {
        let job = jobs::watch(&mut new, &job.job_id, |_| {}).await?;
        assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    }
    let again = submit(&mut new, "late", specs::synthetic(1)).await?;
    assert_ne!(again.job_id, newer.job_id);
    let log = second.log()?;
    assert!(
        log.contains("has written nothing for the time of --journal-lease"),
        "{log}"
    );
    second.stop().await?;
    // Its end has the code of a resource that is not available, and it is no deadlock.
    let ended = first.stop().await?;
    assert_eq!(ended.code(), Some(69));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_while_the_storage_is_away() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let trainer = start(&sandbox, "node-1", &[]).await?;
    let mut client = training(&trainer).await?;
    let before = submit(&mut client, "before", specs::synthetic(1)).await?;
    jobs::watch(&mut client, &before.job_id, |_| {}).await?;
    let journal = sandbox.dir().join("storage/trainer/t");
    let away = sandbox.dir().join("away");
    move_away(&journal, &away)?;
    let refused = submit(&mut client, "during", specs::synthetic(1)).await;
    let status = refused.expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let found = jobs::get(&mut client, &before.job_id).await?;
    assert_eq!(found.state(), JobState::Succeeded, "reads go on");
    fs::remove_file(&journal)?;
    fs::rename(&away, &journal)?;
    let accepted = until("jobs are accepted again", async || {
        match submit(&mut client, "during", specs::synthetic(1)).await {
            Ok(job) => Ok(Some(job)),
            Err(status) if status.code() == Code::Unavailable => Ok(None),
            Err(status) => Err(status.into()),
        }
    });
    let accepted = accepted.await?;
    let ended = jobs::watch(&mut client, &accepted.job_id, |_| {}).await?;
    assert_eq!(ended.state(), JobState::Succeeded, "{}", ended.error);
    trainer.stop().await?;
    Ok(())
}

/// A file in the place of the folder: nothing can be written or read below it.
fn move_away(folder: &Path, away: &Path) -> Result<()> {
    fs::rename(folder, away)?;
    Ok(fs::write(folder, b"")?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_begins_with_the_jobs_of_a_database() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut client = sandbox.training().await?;
    let old = jobs::run(&mut client, specs::synthetic(1)).await?;
    assert!(
        !sandbox.dir().join("storage/trainer").exists(),
        "no journal without the flag"
    );
    sandbox.take_trainer()?.stop().await?;
    let first = start(&sandbox, "state", &[]).await?;
    let mut client = training(&first).await?;
    let new = jobs::run(&mut client, specs::synthetic(2)).await?;
    // An orderly end needs no waiting, on whichever node the next one starts.
    first.stop().await?;
    let second = start(&sandbox, "node-2", &NEVER).await?;
    let mut client = training(&second).await?;
    for job in [&old, &new] {
        assert_eq!(jobs::get(&mut client, &job.job_id).await?, *job);
    }
    let newest = jobs::run(&mut client, specs::synthetic(1)).await?;
    // A crash neither, in the same folder.
    second.crash()?;
    let second = start(&sandbox, "node-2", &NEVER).await?;
    training(&second).await?;
    second.stop().await?;
    // The first folder reads on from where it was.
    let first = start(&sandbox, "state", &NEVER).await?;
    let mut client = training(&first).await?;
    assert_eq!(jobs::get(&mut client, &newest.job_id).await?, newest);
    first.stop().await?;
    // Without the flag it is a trainer of its own from then on.
    sandbox.start_trainer(&[]).await?;
    jobs::run(&mut sandbox.training().await?, specs::synthetic(1)).await?;
    sandbox.take_trainer()?.stop().await?;
    let refused = start(&sandbox, "state", &NEVER).await?;
    until("the reason is logged", async || {
        Ok(refused
            .log()?
            .contains("was used without --journal")
            .then_some(()))
    })
    .await?;
    assert_eq!(refused.stop().await?.code(), Some(69));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_works_on_a_bucket() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let Some(bucket) = moto::bucket(sandbox.dir(), "the_journal_works_on_a_bucket").await? else {
        return Ok(());
    };
    let start = async |node: &'static str, flags: &[&str]| {
        let mut command = Command::new(sandbox.binary("digits-trainer"));
        command
            .envs(bucket.environment())
            .args(["--storage", &bucket.storage(), "--state"])
            .arg(sandbox.dir().join(node))
            .args(JOURNAL)
            .args(flags);
        sandbox.start(node, command).await
    };
    let first = start("node-1", &[]).await?;
    let mut client = training(&first).await?;
    let finished = jobs::run(&mut client, specs::synthetic(1)).await?;
    let running = submit(&mut client, "running", long()).await?;
    first.crash()?;
    let second = start("node-2", &AT_ONCE).await?;
    let mut client = training(&second).await?;
    assert_eq!(jobs::get(&mut client, &finished.job_id).await?, finished);
    let ended = jobs::watch(&mut client, &running.job_id, |_| {}).await?;
    assert_eq!(ended.state(), JobState::Succeeded, "{}", ended.error);
    second.stop().await?;
    Ok(())
}
