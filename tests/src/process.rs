//! One service as a child process: started, found by its ready file, asked to stop.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How long a service may take to bind its ports, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running service; killed when dropped.
pub struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
    addresses: Addresses,
}

/// Where a service listens, as its ready file tells.
#[derive(Debug, Clone, Deserialize)]
pub struct Addresses {
    /// `host:port` of gRPC.
    pub grpc: String,
    /// `host:port` of the admin HTTP server.
    pub admin: String,
}

impl Service {
    /// Starts `binary` with `arguments` on free loopback ports and waits until they are bound. Its log goes to
    /// `<dir>/<name>.log`, behind what an earlier run wrote there.
    pub fn start(
        name: &'static str,
        binary: &Path,
        dir: &Path,
        arguments: &[String],
    ) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(arguments);
        Self::start_command(name, command, dir)
    }

    /// The same with a command that ends in the arguments of a service.
    pub fn start_command(name: &'static str, command: Command, dir: &Path) -> Result<Self> {
        let Started {
            mut child,
            ready,
            log,
        } = spawn(name, command, dir)?;
        let deadline = Instant::now() + PATIENCE;
        let addresses = loop {
            if let Ok(text) = fs::read(&ready) {
                break serde_json::from_slice(&text).context("read the ready file")?;
            }
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended with {status}:\n{}", fs::read_to_string(&log)?);
            }
            if Instant::now() > deadline {
                child.kill()?;
                bail!(
                    "{name} did not come up in {PATIENCE:?}:\n{}",
                    fs::read_to_string(&log)?
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ok(Self {
            name,
            child,
            log,
            addresses,
        })
    }

    /// Address of its gRPC server, as a URL.
    #[must_use]
    pub fn grpc(&self) -> String {
        format!("http://{}", self.addresses.grpc)
    }

    /// `host:port` of its admin server.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.addresses.admin
    }

    /// Id of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged, in this and earlier runs.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(&self.log).context("read the log")
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(mut self) -> Result<ExitStatus> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("process id")?, Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} did not stop in {PATIENCE:?}", self.name);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills it as a crash would, with SIGKILL.
    pub fn crash(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets it live on after this value is dropped; returns its process id.
    #[must_use]
    pub fn leave_running(self) -> u32 {
        let pid = self.child.id();
        std::mem::forget(self);
        pid
    }
}

/// Starts `binary` as [`Service::start`] does and kills it `after` a while, however far it is then.
pub fn start_and_crash(
    name: &'static str,
    binary: &Path,
    dir: &Path,
    arguments: &[String],
    after: Duration,
) -> Result<()> {
    let mut command = Command::new(binary);
    command.args(arguments);
    let Started { mut child, .. } = spawn(name, command, dir)?;
    std::thread::sleep(after);
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// A process that may not have bound its ports yet.
struct Started {
    child: Child,
    ready: PathBuf,
    log: PathBuf,
}

fn spawn(name: &'static str, mut command: Command, dir: &Path) -> Result<Started> {
    let ready = dir.join(format!("{name}.json"));
    let log = dir.join(format!("{name}.log"));
    if ready.exists() {
        fs::remove_file(&ready)?;
    }
    let output = File::options().create(true).append(true).open(&log)?;
    command
        .args([
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--ready-file",
        ])
        .arg(&ready)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let child = command
        .spawn()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    Ok(Started { child, ready, log })
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
