//! The trainer's page in a browser: submits, watches and cancels jobs, and shows sweeps.

use crate::support::{browser::Script, mnist};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{sandbox::Sandbox, specs};
use digits_proto::v1::{
    JobSpec, PublishPolicy, PublishSpec, SweepParameter, SweepSpec, SweepState,
};
use digits_testing::{patience, until};
use serde_json::json;
use tokio::task::block_in_place;

#[tokio::test]
async fn jobs_are_submitted_watched_compared_served_and_cancelled() -> Result<()> {
    let name = "jobs_are_submitted_watched_compared_served_and_cancelled";
    if mnist::for_test(name).is_none() {
        return Ok(());
    }
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let address = sandbox.trainer()?.grpc();
    if let Some(script) = Script::start("trainer.mjs", &[&address], sandbox.dir(), name)? {
        tokio::task::spawn_blocking(move || script.end()).await??;
    }
    sandbox.stop().await
}

#[tokio::test]
async fn forty_jobs_are_searched_linked_compared_and_cloned() -> Result<()> {
    let name = "forty_jobs_are_searched_linked_compared_and_cloned";
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let address = sandbox.trainer()?.grpc();
    if let Some(script) = Script::start("jobs.mjs", &[&address], sandbox.dir(), name)? {
        tokio::task::spawn_blocking(move || script.end()).await??;
    }
    sandbox.stop().await
}

fn parameter(field: &str, values: &[&str]) -> SweepParameter {
    SweepParameter {
        field: field.to_owned(),
        values: values.iter().map(|it| (*it).to_owned()).collect(),
        range: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_are_shown_followed_promoted_and_cancelled() -> Result<()> {
    let name = "sweeps_are_shown_followed_promoted_and_cancelled";
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&["--workers", "1"]).await?;
    let address = sandbox.trainer()?.grpc();
    let Some(mut script) = Script::start("sweeps.mjs", &[&address], sandbox.dir(), name)? else {
        return sandbox.stop().await;
    };
    let options = digits_client::Options::default();
    let trainer = digits_client::TrainerClient::new(&address, &options)?;
    block_in_place(|| script.wants("a sweep that has ended"))?;
    let grid = SweepSpec {
        job: Some(JobSpec {
            name: "grid".to_owned(),
            ..specs::synthetic(1)
        }),
        parameters: vec![
            parameter("learning_rate", &["0.0001", "0.02", "0.1"]),
            parameter("hidden", &["16"]),
        ],
        seeds: 2,
        ..SweepSpec::default()
    };
    let id = trainer
        .submit_sweep("grid".to_owned(), grid)
        .await?
        .sweep_id;
    let ended = until("the sweep ends", async || {
        let sweep = trainer.sweep(&id).await?;
        Ok((sweep.state() != SweepState::Running).then_some(sweep))
    });
    let ended = ended.await?;
    ensure!(ended.state() == SweepState::Succeeded, "{ended:?}");
    let best = ended.best.context("a best trial")?;
    let best = json!({
        "number": best.number, "values": best.values, "checkpoint_id": best.checkpoint_id,
    });
    script.done(&best.to_string())?;
    block_in_place(|| script.wants("a sweep that does not end"))?;
    let endless = JobSpec {
        publish: Some(PublishSpec {
            policy: PublishPolicy::Final.into(),
        }),
        ..specs::synthetic(10_000)
    };
    let endless = SweepSpec {
        job: Some(endless),
        parameters: vec![parameter("batch_size", &["10", "20"])],
        ..SweepSpec::default()
    };
    trainer.submit_sweep("endless".to_owned(), endless).await?;
    script.done("it runs")?;
    block_in_place(|| script.end())?;
    sandbox.stop().await
}
