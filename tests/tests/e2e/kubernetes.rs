//! Jobs in pods (`--executor kubernetes`): their results are those of threads, what a cluster does to
//! them costs no progress, and clients see why one waits.

mod queue;
mod rights;
mod setup;

use crate::support::torture::{Evidence, same, undisturbed};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, specs};
use digits_proto::v1::JobState;
use digits_testing::until;
use setup::{Setup, cancel, endless, long, waiting};

#[tokio::test]
async fn pods_give_the_results_of_threads() -> Result<()> {
    let setup = Setup::new(&["--job-ttl", "90s"]).await?;
    let mut training = setup.sandbox.training().await?;
    let spec = specs::synthetic(4);
    let job = jobs::run(&mut training, spec.clone()).await?;
    let evidence = Evidence::of(&setup.sandbox, &mut training, &job).await?;
    let expected = undisturbed(std::slice::from_ref(&spec)).await?;
    same(&job.job_id, &evidence, &expected[0])?;
    assert_eq!(job.attempts, 1);
    let made = until("a Job that expires", async || {
        let jobs = setup.cluster.jobs().await?;
        ensure!(jobs.len() == 1, "{jobs:?}");
        let job = jobs.into_iter().next().context("a Job")?;
        let expires = job["spec"]["ttlSecondsAfterFinished"] == 90;
        Ok(expires.then_some(job))
    })
    .await?;
    assert_eq!(made["metadata"]["name"], format!("{}-1", job.job_id));
    setup.stop().await
}

#[tokio::test]
async fn a_job_that_cannot_be_placed_says_why() -> Result<()> {
    let setup = Setup::new(&[]).await?;
    setup.cluster.room("0").await?;
    let mut training = setup.sandbox.training().await?;
    let id = jobs::submit(&mut training, specs::synthetic(4))
        .await?
        .job_id;
    waiting(&mut training, &id, "Insufficient cpu").await?;

    // A Job that somebody deletes before its worker begins is created again.
    let name = format!("{id}-1");
    let before = setup.cluster.jobs().await?[0]["metadata"]["uid"].clone();
    setup.cluster.delete("batch/v1", "Job", &name).await?;
    until("another Job of the attempt", async || {
        let jobs = setup.cluster.jobs().await?;
        let again = jobs
            .first()
            .is_some_and(|job| job["metadata"]["uid"] != before);
        Ok(again.then_some(()))
    })
    .await?;
    waiting(&mut training, &id, "Insufficient cpu").await?;

    setup.cluster.room("64").await?;
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Succeeded, 1));
    assert_eq!(setup.cluster.jobs().await?.len(), 1);
    setup.stop().await
}

#[tokio::test]
async fn evictions_and_kills_cost_no_progress() -> Result<()> {
    let setup = Setup::new(&[]).await?;
    let mut training = setup.sandbox.training().await?;
    let id = jobs::submit(&mut training, long()).await?.job_id;
    let pod = setup.pod_of(&mut training, &id).await?;
    setup.cluster.evict(&pod).await?;
    let second = until("the second attempt", async || {
        let running = setup.cluster.running();
        let second = running
            .into_iter()
            .find(|it| it.starts_with(&format!("{id}-2")));
        Ok(second)
    })
    .await?;
    // An eviction is not a fault of the job.
    assert_eq!(jobs::get(&mut training, &id).await?.attempts, 1);
    setup.cluster.kill(&second);
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Succeeded, 2));
    let evidence = Evidence::of(&setup.sandbox, &mut training, &job).await?;
    let expected = undisturbed(&[long()]).await?;
    same(&job.job_id, &evidence, &expected[0])?;
    setup.stop().await
}

#[tokio::test]
async fn pods_outlive_the_trainer_and_a_cancelled_job_has_none() -> Result<()> {
    let mut setup = Setup::new(&[]).await?;
    let mut training = setup.sandbox.training().await?;
    let id = jobs::submit(&mut training, endless()).await?.job_id;
    let pod = setup.pod_of(&mut training, &id).await?;
    let status = setup.sandbox.take_trainer()?.stop().await?;
    ensure!(status.success(), "{status}");
    assert_eq!(setup.cluster.running(), [pod.as_str()]);

    setup.start_trainer().await?;
    let mut training = setup.sandbox.training().await?;
    let before = jobs::history(&mut training, &id).await?.len();
    until("further rows", async || {
        let rows = jobs::history(&mut training, &id).await?.len();
        Ok((rows > before).then_some(()))
    })
    .await?;
    assert_eq!(setup.cluster.running(), [pod.as_str()]);
    let job = jobs::get(&mut training, &id).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Running, 1));

    let job = cancel(&mut training, &id).await?;
    ensure!(job.progress.context("progress")?.step > 0);
    assert!(setup.cluster.jobs().await?.is_empty());
    until("no pod", async || {
        Ok(setup.cluster.running().is_empty().then_some(()))
    })
    .await?;
    setup.stop().await
}
