//! Sweeps with both services as processes: the trainer is killed in the middle, no trial is lost or
//! trained twice, the results are those of an undisturbed sweep, and the best one is served on
//! demand.

use crate::support::{command_line::digits, torture::Evidence};
use anyhow::{Context as _, Result, ensure};
use digits_client::TrainerClient;
use digits_e2e::{sandbox::Sandbox, specs};
use digits_proto::v1::{
    JobState, ListJobsRequest, SuccessiveHalving, Sweep, SweepParameter, SweepSpec, SweepState,
    TrialState,
};
use digits_testing::{patience, until};

/// Writes bundles as often as the disk allows.
const OFTEN: [&str; 4] = ["--bundle-interval", "10ms", "--workers", "2"];

/// Four configurations with two seeds each, halved: 8 + 4 + 2 trials.
fn spec() -> SweepSpec {
    let parameter = |field: &str, values: [&str; 2]| SweepParameter {
        field: field.to_owned(),
        values: values.map(str::to_owned).to_vec(),
        range: None,
    };
    SweepSpec {
        job: Some(specs::synthetic(40)),
        parameters: vec![
            parameter("learning_rate", ["0.02", "0.1"]),
            parameter("hidden", ["16", "32-16"]),
        ],
        seeds: 2,
        halving: Some(SuccessiveHalving {
            factor: 2,
            min_epochs: 0,
        }),
        ..SweepSpec::default()
    }
}

/// Waits until `is_so` of a sweep, over a trainer that comes back.
async fn when(trainer: &TrainerClient, id: &str, is_so: impl Fn(&Sweep) -> bool) -> Result<Sweep> {
    until("the sweep goes on", async || {
        let sweep = trainer.sweep(id).await?;
        Ok(is_so(&sweep).then_some(sweep))
    })
    .await
}

async fn end(trainer: &TrainerClient, id: &str) -> Result<Sweep> {
    when(trainer, id, |sweep| sweep.state() != SweepState::Running).await
}

/// What must not depend on interruptions: each trial's number, values, result and evidence.
async fn evidence(sandbox: &Sandbox, sweep: &Sweep) -> Result<Vec<(u32, Vec<String>, Evidence)>> {
    let mut training = sandbox.training().await?;
    let mut all = Vec::new();
    for trial in &sweep.trials {
        ensure!(trial.state() == TrialState::Succeeded, "{trial:?}");
        let job = digits_e2e::jobs::get(&mut training, &trial.job_id).await?;
        let evidence = Evidence::of(sandbox, &mut training, &job).await?;
        all.push((trial.number, trial.values.clone(), evidence));
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_survives_kills_of_the_trainer_without_losing_or_doubling_a_trial() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&OFTEN).await?;
    sandbox.start_inference(&[]).await?;
    let (trainer, _) = sandbox.clients()?;
    let id = trainer
        .submit_sweep("disturbed".to_owned(), spec())
        .await?
        .sweep_id;
    // While the first trials are submitted, between rungs, and in the last one.
    for ended in [0, 1, 4, 7, 8, 11, 12, 13] {
        let (trainer, _) = sandbox.clients()?;
        when(&trainer, &id, |sweep| sweep.ended_trials >= ended).await?;
        sandbox.take_trainer()?.crash()?;
        sandbox.start_trainer(&OFTEN).await?;
    }
    let (trainer, _) = sandbox.clients()?;
    let sweep = end(&trainer, &id).await?;
    ensure!(sweep.state() == SweepState::Succeeded, "{sweep:?}");
    let label = ("sweep".to_owned(), id.clone());
    let filter = ListJobsRequest {
        labels: [label].into(),
        ..ListJobsRequest::default()
    };
    let jobs = trainer.jobs(filter, usize::MAX).await?;
    ensure!(
        jobs.len() == 14 && sweep.trials.len() == 14,
        "{} jobs: {sweep:?}",
        jobs.len()
    );
    ensure!(jobs.iter().all(|job| job.state() == JobState::Succeeded));
    let disturbed = evidence(&sandbox, &sweep).await?;

    let output = digits(&sandbox, &["sweep", "promote", "latest", "--json"])?;
    ensure!(output.status.success(), "{output:?}");
    let best = sweep.best.context("a best trial")?;
    let (_, inference) = sandbox.clients()?;
    until("the best checkpoint is served", async || {
        let Ok(model) = inference.model("digits").await else {
            return Ok(None);
        };
        let mut served = model.served.iter().filter_map(|it| it.checkpoint.as_ref());
        Ok(served
            .any(|it| it.checkpoint_id == best.checkpoint_id)
            .then_some(()))
    })
    .await?;
    sandbox.stop().await?;

    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&OFTEN).await?;
    sandbox.start_inference(&[]).await?;
    let (trainer, _) = sandbox.clients()?;
    let id = trainer
        .submit_sweep("undisturbed".to_owned(), spec())
        .await?
        .sweep_id;
    let sweep = end(&trainer, &id).await?;
    let undisturbed = evidence(&sandbox, &sweep).await?;
    assert_eq!(disturbed, undisturbed);
    sandbox.stop().await
}
