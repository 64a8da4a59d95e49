//! A scratch folder with the pair in it.

use crate::process::{Service, start_and_crash};
use anyhow::{Context as _, Result, ensure};
use digits_proto::v1::{
    checkpoint_service_client::CheckpointServiceClient,
    inference_service_client::InferenceServiceClient,
    training_service_client::TrainingServiceClient,
};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// A scratch folder with storage, state and logs, and the services that work in it.
pub struct Sandbox {
    dir: TempDir,
    binaries: PathBuf,
    trainer: Option<Service>,
    inference: Option<Service>,
}

impl Sandbox {
    /// An empty folder; nothing runs yet.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("digits-").tempdir()?;
        Ok(Self {
            dir,
            binaries: binaries()?,
            trainer: None,
            inference: None,
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
    pub fn start_trainer(&mut self, arguments: &[&str]) -> Result<&Service> {
        let all = self.trainer_arguments(arguments);
        let binary = self.binary("digits-trainer");
        let service = Service::start("trainer", &binary, self.dir.path(), &all)?;
        Ok(self.trainer.insert(service))
    }

    /// Starts the trainer and kills it `after` a while, however far it is then.
    pub fn start_and_crash_trainer(&self, after: Duration) -> Result<()> {
        let all = self.trainer_arguments(&[]);
        let binary = self.binary("digits-trainer");
        start_and_crash("trainer", &binary, self.dir.path(), &all, after)
    }

    /// Starts the trainer through a shell that first carries out `setup`, such as the setting of a limit.
    pub fn start_trainer_after(&mut self, setup: &str, arguments: &[&str]) -> Result<&Service> {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("{setup}; exec \"$0\" \"$@\"")])
            .arg(self.binary("digits-trainer"))
            .args(self.trainer_arguments(arguments));
        let service = Service::start_command("trainer", command, self.dir.path())?;
        Ok(self.trainer.insert(service))
    }

    fn trainer_arguments(&self, further: &[&str]) -> Vec<String> {
        let mut all = vec!["--storage".to_owned(), self.storage(), "--state".to_owned()];
        all.push(self.dir.path().join("state").display().to_string());
        all.extend(further.iter().map(ToString::to_string));
        all
    }

    /// Starts the inference service, with further arguments.
    pub fn start_inference(&mut self, arguments: &[&str]) -> Result<&Service> {
        let mut all = vec!["--storage".to_owned(), self.storage()];
        all.extend(arguments.iter().map(ToString::to_string));
        let binary = self.binary("digits-inference");
        let service = Service::start("inference", &binary, self.dir.path(), &all)?;
        Ok(self.inference.insert(service))
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

    /// Stops what runs with SIGTERM and checks that each ends with status 0.
    pub fn stop(mut self) -> Result<()> {
        for service in [self.inference.take(), self.trainer.take()]
            .into_iter()
            .flatten()
        {
            let status = service.stop()?;
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
        (self.dir.keep(), pids)
    }
}

/// The folder with the built binaries: `DIGITS_BIN_DIR`, else where this program lies.
fn binaries() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("DIGITS_BIN_DIR") {
        return Ok(dir.into());
    }
    let program = std::env::current_exe()?;
    let dir = program
        .ancestors()
        .skip(1)
        .find(|dir| dir.join("digits-trainer").exists());
    let dir = dir.context("digits-trainer is not beside this program: run `make build`")?;
    Ok(dir.to_owned())
}

/// A connection to a URL; waits for the server for a few seconds.
pub async fn channel(url: &str) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned())?.connect_timeout(Duration::from_secs(5));
    endpoint
        .connect()
        .await
        .with_context(|| format!("connect to {url}"))
}

/// Body of an HTTP GET; fails on a status other than 200.
pub fn http_get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer")?;
    ensure!(
        head.starts_with("HTTP/1.1 200"),
        "GET {path} on {address}: {head}"
    );
    Ok(body.to_owned())
}
