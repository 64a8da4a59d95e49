//! Both services with a bucket as storage: a pushed data set, published and hot-loaded checkpoints,
//! resume bundles, a rollback without a trainer, and a bucket that stops responding.

use crate::support::moto;
use anyhow::{Context as _, Result, ensure};
use digits_dataset::{idx, synthetic};
use digits_e2e::{
    jobs,
    process::Service,
    sandbox::{Sandbox, channel},
    specs,
};
use digits_proto::v1::{
    CancelJobRequest, PredictRequest, inference_service_client::InferenceServiceClient,
    predict_request::Images, training_service_client::TrainingServiceClient,
};
use digits_testing::{
    bucket::{Backend, Bucket, Interface},
    patience, until,
};
use serde_json::Value;
use std::{fs, path::PathBuf, process::Command};
use tonic::transport::Channel;

type Training = TrainingServiceClient<Channel>;

#[tokio::test]
async fn training_serving_and_rollback_work_on_a_bucket() -> Result<()> {
    let sandbox = Sandbox::new(patience())?;
    let test = "training_serving_and_rollback_work_on_a_bucket";
    match moto::bucket(sandbox.dir(), test).await? {
        Some(bucket) => Cluster::of(bucket, sandbox).works().await,
        None => Ok(()),
    }
}

#[tokio::test]
async fn a_bucket_of_google_works_with_the_identity_of_a_pod() -> Result<()> {
    let google = Cluster::on(Backend::InProcess(Interface::Google)).await?;
    google.with_identity()?.works().await
}

#[tokio::test]
async fn a_container_of_azure_works_with_the_identity_of_a_pod() -> Result<()> {
    let azure = Cluster::on(Backend::InProcess(Interface::Azure)).await?;
    azure.with_identity()?.works().await
}

#[tokio::test]
#[ignore = "`make test-buckets` brings SeaweedFS"]
async fn training_serving_and_rollback_work_on_seaweedfs() -> Result<()> {
    Cluster::on(Backend::SeaweedFs).await?.works().await
}

#[tokio::test]
#[ignore = "`make test-buckets` brings Azurite"]
async fn training_serving_and_rollback_work_on_azurite() -> Result<()> {
    Cluster::on(Backend::Azurite).await?.works().await
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_is_named_at_the_start() -> Result<()> {
    for interface in [Interface::Google, Interface::Azure] {
        let cluster = Cluster::on(Backend::InProcess(interface)).await?;
        cluster.names_what_is_wrong().await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "`make test-buckets` brings SeaweedFS"]
async fn a_bucket_of_seaweedfs_that_cannot_be_used_is_named_at_the_start() -> Result<()> {
    let cluster = Cluster::on(Backend::SeaweedFs).await?;
    cluster.names_what_is_wrong().await
}

#[tokio::test]
#[ignore = "`make test-buckets` brings Azurite"]
async fn a_container_of_azurite_that_cannot_be_used_is_named_at_the_start() -> Result<()> {
    let cluster = Cluster::on(Backend::Azurite).await?;
    cluster.names_what_is_wrong().await
}

/// A bucket, and a folder for what uses it.
struct Cluster {
    bucket: Bucket,
    variables: Vec<(&'static str, String)>,
    sandbox: Sandbox,
}

impl Cluster {
    async fn on(backend: Backend) -> Result<Self> {
        let sandbox = Sandbox::new(patience())?;
        let bucket = Bucket::start(backend, sandbox.dir()).await?;
        Ok(Self::of(bucket, sandbox))
    }

    fn of(bucket: Bucket, sandbox: Sandbox) -> Self {
        Self {
            variables: bucket.environment(),
            bucket,
            sandbox,
        }
    }

    fn with_identity(mut self) -> Result<Self> {
        self.variables = self.bucket.workload_identity(self.sandbox.dir())?;
        Ok(self)
    }

    /// A command on the bucket. Its variables end in a line break, as those of a Secret do that was
    /// made with `echo`.
    fn command(&self, binary: &str) -> Command {
        let mut command = Command::new(self.sandbox.binary(binary));
        for (name, value) in &self.variables {
            // The client reads it by itself.
            let end = if *name == "GCE_METADATA_HOST" {
                ""
            } else {
                "\n"
            };
            command.env(name, format!("{value}{end}"));
        }
        command
            .env("DIGITS_STORAGE", self.bucket.storage())
            .env("XDG_CACHE_HOME", self.sandbox.dir().join("cache"));
        command
    }

    fn digits(&self) -> Command {
        self.command("digits")
    }

    async fn start_trainer(&self) -> Result<(Service, Training)> {
        let mut command = self.command("digits-trainer");
        command
            .args(["--executor", "process", "--bundle-interval", "20ms"])
            .arg("--state")
            .arg(self.sandbox.dir().join("state"));
        let trainer = self.sandbox.start("trainer", command).await?;
        let training = TrainingServiceClient::new(channel(&trainer.grpc()).await?);
        Ok((trainer, training))
    }

    /// Runs both services on the bucket.
    async fn works(&self) -> Result<()> {
        let dir = folder(&self.sandbox)?.display().to_string();
        json(self.digits(), &["dataset", "push", &dir, "--name", "drawn"])?;

        let (trainer, mut training) = self.start_trainer().await?;
        let mut inference = self.command("digits-inference");
        inference.args(["--poll-interval", "50ms"]);
        let inference = self.sandbox.start("inference", inference).await?;

        let flags = "--dataset drawn --hidden 32 --epochs 2 --train-count 6000 --validation-count 2000 --detach";
        let mut train = self.digits();
        train.env("DIGITS_TRAINER", trainer.grpc()).arg("train");
        let submitted = json(train, &flags.split(' ').collect::<Vec<_>>())?;
        let id = submitted["job"]["job_id"].as_str().context("an id")?;
        let job = jobs::watch(&mut training, id, |_| {}).await?;
        ensure!(job.error.is_empty(), "{}", job.error);
        let [old, new] = job.checkpoint_ids.as_slice() else {
            anyhow::bail!("{:?}", job.checkpoint_ids)
        };
        let mut client = InferenceServiceClient::new(channel(&inference.grpc()).await?);
        answers_from(&mut client, new).await?;

        let trainer = self.resumes_from_a_bundle(trainer, training).await?;
        let log = trainer.log()?;
        ensure!(trainer.stop().await?.success());

        let storage = self.bucket.storage();
        json(self.digits(), &["rollback", "--storage", &storage])?;
        answers_from(&mut client, old).await?;
        self.serves_while_the_bucket_is_silent(&mut client, old)
            .await?;
        json(self.digits(), &["promote", new, "--storage", &storage])?;
        answers_from(&mut client, new).await?;
        let log = log + &inference.log()?;
        ensure!(inference.stop().await?.success());
        self.assert_no_secret(&log);
        Ok(())
    }

    /// An orderly stop leaves a bundle, in the bucket, from which the next trainer continues.
    async fn resumes_from_a_bundle(
        &self,
        trainer: Service,
        mut training: Training,
    ) -> Result<Service> {
        let job = jobs::submit(&mut training, specs::synthetic(10_000)).await?;
        until("a row of the job", async || {
            let rows = jobs::history(&mut training, &job.job_id).await?;
            Ok((!rows.is_empty()).then_some(()))
        })
        .await?;
        drop(training);
        ensure!(trainer.stop().await?.success());
        let (trainer, mut training) = self.start_trainer().await?;
        let start = until("the second start of the job", async || {
            let log = trainer.log()?;
            let starts = log
                .lines()
                .filter(|line| line.contains("training starts") && line.contains(&job.job_id));
            Ok(starts.map(str::to_owned).nth(1))
        })
        .await?;
        ensure!(!start.contains("from_step=0"), "{start}");
        let cancel = CancelJobRequest { job_id: job.job_id };
        training.cancel_job(cancel).await?;
        Ok(trainer)
    }

    /// Requests to the bucket hang; requests to the service do not.
    async fn serves_while_the_bucket_is_silent(
        &self,
        client: &mut InferenceServiceClient<Channel>,
        checkpoint: &str,
    ) -> Result<()> {
        self.bucket.fall_silent()?;
        until("a request to the silent bucket", async || {
            Ok(self.bucket.has_unread_requests()?.then_some(()))
        })
        .await?;
        for _ in 0..20 {
            assert_eq!(answered_by(client).await?, checkpoint);
        }
        self.bucket.speak_again()
    }

    /// A trainer and a command end, and say why; an inference service logs it and goes on.
    async fn names_what_is_wrong(&self) -> Result<()> {
        let (here, absent) = (self.bucket.storage(), self.bucket.storage_in("absent"));
        let address = self.bucket.address();
        for (variables, storage, parts) in [
            (
                self.bucket.wrong_environment(),
                &here,
                ["check the credentials", address],
            ),
            (
                self.bucket.environment(),
                &absent,
                ["there is no such bucket or container", &absent],
            ),
            (
                self.bucket.unreachable_environment(),
                &here,
                ["cannot be", "http://127.0.0.1:1/"],
            ),
        ] {
            let command = |binary: &str| {
                let mut command = Command::new(self.sandbox.binary(binary));
                let variables = variables.iter().map(|(name, value)| (name, value));
                command.envs(variables).env("DIGITS_STORAGE", storage);
                command.current_dir(self.sandbox.dir());
                command
            };
            let mut digits = command("digits");
            digits.args(["serving", "--storage", storage]);
            self.ends_with(&mut digits, None, &parts)?;
            let mut trainer = command("digits-trainer");
            trainer.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
            trainer.args(["--max-outage", "0s", "--state", "state"]);
            self.ends_with(&mut trainer, Some(69), &parts)?;

            let inference = command("digits-inference");
            let inference = self.sandbox.start("inference", inference).await?;
            until("the reason is logged", async || {
                let log = inference.log()?;
                let is_named = parts.iter().all(|part| log.contains(part));
                Ok(is_named.then_some(()))
            })
            .await?;
            self.assert_no_secret(&inference.log()?);
            ensure!(inference.stop().await?.success());
        }
        Ok(())
    }

    fn ends_with(&self, command: &mut Command, code: Option<i32>, parts: &[&str]) -> Result<()> {
        let output = command.output()?;
        let text = [&output.stdout[..], &output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        ensure!(!output.status.success(), "{text}");
        ensure!(code.is_none() || output.status.code() == code, "{text}");
        for part in parts {
            ensure!(text.contains(part), "lacks {part:?}: {text}");
        }
        self.assert_no_secret(&text);
        Ok(())
    }

    fn assert_no_secret(&self, text: &str) {
        for secret in self.bucket.secrets() {
            assert!(!text.contains(&secret), "{text}");
        }
    }
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
