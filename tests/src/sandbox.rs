//! A temporary folder with both services working in it.

use crate::{
    process::{Service, start_and_crash},
    workers::KillLeft,
};
use anyhow::{Context as _, Result, ensure};
use digits_client::{InferenceClient, Options, TrainerClient};
use digits_proto::v1::{
    checkpoint_service_client::CheckpointServiceClient,
    inference_service_client::InferenceServiceClient,
    training_service_client::TrainingServiceClient,
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// A temporary folder with storage, state and logs, and the services that use it.
///
/// The fields are dropped in this order.
pub struct Sandbox {
    trainer: Option<Service>,
    inference: Option<Service>,
    left: KillLeft,
    dir: TempDir,
    binaries: PathBuf,
    patience: Duration,
}

impl Sandbox {
    /// An empty folder; nothing runs yet. A service may take `patience` to start and to stop.
    pub fn new(patience: Duration) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("digits-").tempdir()?;
        Ok(Self {
            trainer: None,
            inference: None,
            left: KillLeft::of(dir.path()),
            dir,
            binaries: binaries()?,
            patience,
        })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// URL of the storage.
    #[must_use]
    pub fn storage(&self) -> String {
        format!("file://{}", self.dir.path().join("storage").display())
    }

    /// Path of one of the project's binaries.
    #[must_use]
    pub fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// Starts the trainer, with further arguments.
    pub async fn start_trainer(&mut self, arguments: &[&str]) -> Result<&Service> {
        let command = self.trainer_command(arguments);
        let service = self.start("trainer", command).await?;
        Ok(self.trainer.insert(service))
    }

    /// Starts the trainer and kills it `after` some time, whether or not it serves by then.
    pub async fn start_and_crash_trainer(&self, after: Duration) -> Result<()> {
        start_and_crash("trainer", self.trainer_command(&[]), self.dir(), after).await
    }

    /// Starts the trainer from a shell that first runs `setup`, for instance to set a limit.
    pub async fn start_trainer_after(
        &mut self,
        setup: &str,
        arguments: &[&str],
    ) -> Result<&Service> {
        let trainer = self.trainer_command(arguments);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{setup}; exec \"$0\" \"$@\"")])
            .arg(trainer.get_program())
            .args(trainer.get_args());
        let service = self.start("trainer", command).await?;
        Ok(self.trainer.insert(service))
    }

    fn trainer_command(&self, further: &[&str]) -> Command {
        let mut command = Command::new(self.binary("digits-trainer"));
        command
            .args(["--storage", &self.storage(), "--state"])
            .arg(self.dir().join("state"))
            .args(further);
        command
    }

    /// Starts the inference service, with further arguments.
    pub async fn start_inference(&mut self, arguments: &[&str]) -> Result<&Service> {
        let mut command = Command::new(self.binary("digits-inference"));
        command.args(["--storage", &self.storage()]).args(arguments);
        let service = self.start("inference", command).await?;
        Ok(self.inference.insert(service))
    }

    /// Starts `command` as a service in the folder, and leaves it to the caller.
    pub async fn start(&self, name: &'static str, command: Command) -> Result<Service> {
        Service::start(name, command, self.dir(), self.patience).await
    }

    /// The running trainer.
    pub fn trainer(&self) -> Result<&Service> {
        self.trainer.as_ref().context("the trainer is not running")
    }

    /// The running inference service.
    pub fn inference(&self) -> Result<&Service> {
        self.inference
            .as_ref()
            .context("the inference service is not running")
    }

    /// Takes the trainer out, to stop or kill it.
    pub fn take_trainer(&mut self) -> Result<Service> {
        self.trainer.take().context("the trainer is not running")
    }

    /// Takes the inference service out, to stop or kill it.
    pub fn take_inference(&mut self) -> Result<Service> {
        self.inference
            .take()
            .context("the inference service is not running")
    }

    /// A client of the trainer's jobs.
    pub async fn training(&self) -> Result<TrainingServiceClient<Channel>> {
        Ok(TrainingServiceClient::new(
            channel(&self.trainer()?.grpc()).await?,
        ))
    }

    /// A client of the trainer's checkpoints.
    pub async fn checkpoints(&self) -> Result<CheckpointServiceClient<Channel>> {
        Ok(CheckpointServiceClient::new(
            channel(&self.trainer()?.grpc()).await?,
        ))
    }

    /// A client of the inference service.
    pub async fn predict(&self) -> Result<InferenceServiceClient<Channel>> {
        Ok(
            InferenceServiceClient::new(channel(&self.inference()?.grpc()).await?)
                .max_decoding_message_size(64 << 20)
                .max_encoding_message_size(64 << 20),
        )
    }

    /// Both services as an application calls them.
    pub fn clients(&self) -> Result<(TrainerClient, InferenceClient)> {
        let options = Options::default();
        let trainer = TrainerClient::new(&self.trainer()?.grpc(), &options)?;
        let inference = InferenceClient::new(&self.inference()?.grpc(), &options)?;
        Ok((trainer, inference))
    }

    /// Stops what runs with SIGTERM and checks that each ends with status 0.
    pub async fn stop(mut self) -> Result<()> {
        for service in [self.inference.take(), self.trainer.take()]
            .into_iter()
            .flatten()
        {
            let status = service.stop().await?;
            ensure!(status.success(), "a service ended with {status}");
        }
        Ok(())
    }

    /// Leaves services and folder as they are; returns the services' process ids.
    pub fn leave_running(self) -> (PathBuf, Vec<u32>) {
        let services = [self.trainer, self.inference];
        let pids = services
            .into_iter()
            .flatten()
            .map(Service::leave_running)
            .collect();
        std::mem::forget(self.left);
        (self.dir.keep(), pids)
    }
}

/// The folder with the built binaries: `DIGITS_BIN_DIR`, else the nearest folder above this program
/// that has them, such as `target/debug` for a test of that build.
fn binaries() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("DIGITS_BIN_DIR") {
        return Ok(dir.into());
    }
    let program = std::env::current_exe()?;
    let dir = program
        .ancestors()
        .skip(1)
        .find(|dir| dir.join("digits-trainer").exists());
    let dir =
        dir.context("no digits-trainer next to this program: build it or set DIGITS_BIN_DIR")?;
    Ok(dir.to_owned())
}

/// A connection to the gRPC server at a URL.
pub async fn channel(url: &str) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned())?;
    endpoint
        .connect()
        .await
        .with_context(|| format!("connect to {url}"))
}
