//! Rollback and promotion take effect in the inference service at once, with or without a trainer.

use anyhow::{Context as _, Result};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{GetModelRequest, PredictRequest, predict_request::Images};
use digits_testing::{patience, until};
use std::process::Command;

/// Runs `digits` and returns its standard output.
fn digits(sandbox: &Sandbox, arguments: &[&str]) -> Result<String> {
    let output = Command::new(sandbox.binary("digits"))
        .args(arguments)
        .output()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{arguments:?}: {error}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Waits until answers come from this checkpoint.
async fn answers_from(sandbox: &Sandbox, checkpoint: &str) -> Result<()> {
    let mut client = sandbox.predict().await?;
    until("answers from the checkpoint", async || {
        let request = PredictRequest {
            images: Some(Images::Pixels(vec![0; 784].into())),
            ..PredictRequest::default()
        };
        let answer = client.predict(request).await?.into_inner();
        let served = answer.served_by.context("served_by")?;
        Ok((served.checkpoint_id == checkpoint).then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn rollback_takes_effect_with_and_without_a_trainer() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;
    let mut training = sandbox.training().await?;
    let job = jobs::run(&mut training, specs::synthetic(2)).await?;
    let [old, new] = job.checkpoint_ids.as_slice() else {
        anyhow::bail!("{:?}", job.checkpoint_ids)
    };
    let mut client = sandbox.predict().await?;
    until("the newest checkpoint", async || {
        let model = client.get_model(GetModelRequest::default()).await?;
        let served = model.into_inner().served;
        let checkpoint = served.first().and_then(|served| served.checkpoint.as_ref());
        Ok(checkpoint.filter(|it| it.checkpoint_id == *new).map(|_| ()))
    })
    .await?;

    let trainer = sandbox.trainer()?.grpc();
    digits(&sandbox, &["rollback", "--trainer", &trainer])?;
    answers_from(&sandbox, old).await?;

    sandbox.take_trainer()?.crash()?;
    let storage = sandbox.storage();
    digits(&sandbox, &["rollback", "--storage", &storage])?;
    answers_from(&sandbox, new).await?;
    digits(&sandbox, &["promote", old, "--storage", &storage])?;
    answers_from(&sandbox, old).await?;

    // The hold applies to the restarted trainer.
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    jobs::run(&mut training, specs::synthetic(1)).await?;
    let log = digits(&sandbox, &["serving", "--storage", &storage, "--json"])?;
    let log: serde_json::Value = serde_json::from_str(&log)?;
    assert_eq!(log["records"][0]["sequence"], 5, "{log}");
    let trainer = sandbox.trainer()?.grpc();
    digits(&sandbox, &["release", "--trainer", &trainer])?;
    let job = jobs::run(&mut training, specs::synthetic(1)).await?;
    answers_from(&sandbox, &job.checkpoint_ids[0]).await?;
    sandbox.stop().await
}
