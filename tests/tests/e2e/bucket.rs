//! Both services with a bucket as storage: a pushed data set, published and hot-loaded checkpoints,
//! a rollback without a trainer, and a bucket that stops responding.

use crate::support::bucket::Bucket;
use anyhow::{Context as _, Result, ensure};
use digits_dataset::{idx, synthetic};
use digits_e2e::{
    jobs,
    sandbox::{Sandbox, channel},
};
use digits_proto::v1::{
    PredictRequest, inference_service_client::InferenceServiceClient, predict_request::Images,
    training_service_client::TrainingServiceClient,
};
use digits_testing::{patience, until};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Command};
use tonic::transport::Channel;

/// A command of `digits` on the bucket. Its variables end in a line break, as those of a Secret do
/// that was made with `echo`.
fn command(sandbox: &Sandbox, bucket: &Bucket, binary: &str) -> Command {
    let mut command = Command::new(sandbox.binary(binary));
    let variables = bucket.environment();
    command
        .envs(variables.map(|(name, value)| (name, format!("{value}\n"))))
        .env("DIGITS_STORAGE", bucket.storage())
        .env("XDG_CACHE_HOME", sandbox.dir().join("cache"));
    command
}

/// The last document that `digits` prints.
fn json(mut digits: Command, arguments: &[&str]) -> Result<Value> {
    let output = digits.args(arguments).arg("--json").output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {errors}");
    let text = String::from_utf8(output.stdout)?;
    let last = text.lines().last().context("a document")?;
    Ok(serde_json::from_str(last)?)
}

/// A folder of IDX files, larger than one part of a multipart upload.
fn folder(sandbox: &Sandbox) -> Result<PathBuf> {
    let dataset = synthetic::generate(&synthetic::Options {
        train: 8_000,
        test: 500,
        seed: 1,
    });
    let dir = sandbox.dir().join("drawn");
    fs::create_dir(&dir)?;
    for (name, part) in [("train", &dataset.train), ("t10k", &dataset.test)] {
        idx::write_images(&dir.join(format!("{name}-images-idx3-ubyte")), &part.images)?;
        idx::write_labels(&dir.join(format!("{name}-labels-idx1-ubyte")), &part.labels)?;
    }
    Ok(dir)
}

async fn answered_by(client: &mut InferenceServiceClient<Channel>) -> Result<String> {
    let request = PredictRequest {
        images: Some(Images::Pixels(vec![0; 784].into())),
        ..PredictRequest::default()
    };
    let answer = client.predict(request).await?.into_inner();
    Ok(answer.served_by.context("served_by")?.checkpoint_id)
}

async fn answers_from(
    client: &mut InferenceServiceClient<Channel>,
    checkpoint: &str,
) -> Result<()> {
    until("answers from the checkpoint", async || {
        // Nothing may be loaded yet.
        let by = answered_by(client).await.ok();
        Ok(by.filter(|by| by == checkpoint).map(|_| ()))
    })
    .await
}

#[tokio::test]
async fn training_serving_and_rollback_work_on_a_bucket() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let Some(bucket) = Bucket::start(
        sandbox.dir(),
        "training_serving_and_rollback_work_on_a_bucket",
    )
    .await?
    else {
        return Ok(());
    };
    let digits = || command(&sandbox, &bucket, "digits");
    let dir = folder(&sandbox)?.display().to_string();
    json(digits(), &["dataset", "push", &dir, "--name", "drawn"])?;

    let mut trainer = command(&sandbox, &bucket, "digits-trainer");
    trainer.arg("--state").arg(sandbox.dir().join("state"));
    let trainer = sandbox.start("trainer", trainer).await?;
    let mut inference = command(&sandbox, &bucket, "digits-inference");
    inference.args(["--poll-interval", "50ms"]);
    let inference = sandbox.start("inference", inference).await?;

    let flags = "--dataset drawn --hidden 32 --epochs 2 --train-count 6000 --validation-count 2000 --detach";
    let mut train = digits();
    train.env("DIGITS_TRAINER", trainer.grpc()).arg("train");
    let submitted = json(train, &flags.split(' ').collect::<Vec<_>>())?;
    let id = submitted["job"]["job_id"].as_str().context("an id")?;
    let mut training = TrainingServiceClient::new(channel(&trainer.grpc()).await?);
    let job = jobs::watch(&mut training, id, |_| {}).await?;
    ensure!(job.error.is_empty(), "{}", job.error);
    let [old, new] = job.checkpoint_ids.as_slice() else {
        anyhow::bail!("{:?}", job.checkpoint_ids)
    };
    let mut client = InferenceServiceClient::new(channel(&inference.grpc()).await?);
    answers_from(&mut client, new).await?;
    ensure!(trainer.stop().await?.success());

    let storage = bucket.storage();
    json(digits(), &["rollback", "--storage", &storage])?;
    answers_from(&mut client, old).await?;

    // Requests to the bucket hang now; requests to the service do not.
    bucket.fall_silent()?;
    until("a request to the silent bucket", async || {
        Ok(bucket.has_unread_requests()?.then_some(()))
    })
    .await?;
    for _ in 0..20 {
        assert_eq!(answered_by(&mut client).await?, *old);
    }
    bucket.speak_again()?;
    json(digits(), &["promote", new, "--storage", &storage])?;
    answers_from(&mut client, new).await?;
    ensure!(inference.stop().await?.success());
    Ok(())
}
