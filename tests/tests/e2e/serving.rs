//! Changing what is served takes effect in the inference service at once, with or without a trainer.

use anyhow::{Context as _, Result};
use digits_e2e::{jobs, sandbox::Sandbox, specs, wait};
use digits_proto::v1::{GetModelRequest, PredictRequest, predict_request::Images};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// Longer than a change takes on a busy machine. It is to be seen within a second on one that is not; how long it took
/// is printed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `digits` and returns its standard output.
fn digits(sandbox: &Sandbox, arguments: &[&str]) -> Result<String> {
    let output = Command::new(sandbox.binary("digits"))
        .args(arguments)
        .output()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{arguments:?}: {error}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Waits until answers come from this checkpoint, and prints how long that took.
async fn answers_from(sandbox: &Sandbox, checkpoint: &str, after: &str) -> Result<()> {
    let begun = Instant::now();
    let mut client = sandbox.predict().await?;
    wait::until("answers from the checkpoint", PATIENCE, async || {
        let request = PredictRequest {
            images: Some(Images::Pixels(vec![0; 784].into())),
            ..PredictRequest::default()
        };
        let answer = client.predict(request).await?.into_inner();
        let served = answer.served_by.context("served_by")?;
        Ok((served.checkpoint_id == checkpoint).then_some(()))
    })
    .await?;
    println!("{after}: answers after {:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn rollback_takes_effect_with_and_without_a_trainer() -> Result<()> {
    let mut sandbox = Sandbox::new()?;
    sandbox.start_trainer(&[])?;
    sandbox.start_inference(&[])?;
    let mut training = sandbox.training().await?;
    let job = jobs::run(&mut training, specs::synthetic(2)).await?;
    let [old, new] = job.checkpoint_ids.as_slice() else {
        anyhow::bail!("{:?}", job.checkpoint_ids)
    };
    let mut client = sandbox.predict().await?;
    wait::until("the newest checkpoint", PATIENCE, async || {
        let model = client.get_model(GetModelRequest::default()).await?;
        let served = model.into_inner().served;
        let checkpoint = served.first().and_then(|served| served.checkpoint.as_ref());
        Ok(checkpoint.filter(|it| it.checkpoint_id == *new).map(|_| ()))
    })
    .await?;

    let trainer = sandbox.trainer()?.grpc();
    digits(&sandbox, &["rollback", "--trainer", &trainer])?;
    answers_from(&sandbox, old, "rollback by the trainer").await?;

    sandbox.take_trainer()?.crash()?;
    let storage = sandbox.storage();
    digits(&sandbox, &["rollback", "--storage", &storage])?;
    answers_from(&sandbox, new, "rollback on the storage").await?;
    digits(&sandbox, &["promote", old, "--storage", &storage])?;
    answers_from(&sandbox, old, "promotion on the storage").await?;

    // The hold stands for the trainer that comes back.
    sandbox.start_trainer(&[])?;
    let mut training = sandbox.training().await?;
    jobs::run(&mut training, specs::synthetic(1)).await?;
    let log = digits(&sandbox, &["serving", "--storage", &storage, "--json"])?;
    let log: serde_json::Value = serde_json::from_str(&log)?;
    assert_eq!(log["records"][0]["sequence"], 5, "{log}");
    let trainer = sandbox.trainer()?.grpc();
    digits(&sandbox, &["release", "--trainer", &trainer])?;
    let job = jobs::run(&mut training, specs::synthetic(1)).await?;
    answers_from(
        &sandbox,
        &job.checkpoint_ids[0],
        "publishing after the release",
    )
    .await?;
    sandbox.stop()
}
