//! A service as a child process: starts it, reads its addresses from the ready file, stops it.

use anyhow::{Context as _, Result, bail};
use digits_testing::Polling;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// Between two checks whether a process has started or ended.
const PAUSE: Duration = Duration::from_millis(2);

/// A running service; killed when dropped.
pub struct Service {
    name: &'static str,
    child: Child,
    log: PathBuf,
    addresses: Addresses,
    polling: Polling,
}

/// Addresses of a service, from its ready file.
#[derive(Debug, Clone, Deserialize)]
pub struct Addresses {
    /// `host:port` of gRPC.
    pub grpc: String,
    /// `host:port` of the admin HTTP server.
    pub admin: String,
}

impl Service {
    /// Starts `command`, the program of a service with its arguments, on free loopback ports and
    /// waits until they are bound. Appends its log to `<dir>/<name>.log`.
    ///
    /// # Errors
    /// When the process ends, or has not bound its ports after `patience`; with its log. `patience`
    /// also limits how long [`Service::stop`] waits.
    pub async fn start(
        name: &'static str,
        command: Command,
        dir: &Path,
        patience: Duration,
    ) -> Result<Self> {
        let Started {
            mut child,
            ready,
            log,
        } = spawn(name, command, dir)?;
        let polling = Polling {
            pause: PAUSE,
            limit: patience,
        };
        let bound = polling.until("its ports are bound", async || {
            if let Ok(text) = fs::read(&ready) {
                return Ok(Some(serde_json::from_slice(&text).context("ready file")?));
            }
            match child.try_wait()? {
                Some(status) => bail!("ended with {status}"),
                None => Ok(None),
            }
        });
        match bound.await {
            Ok(addresses) => Ok(Self {
                name,
                child,
                log,
                addresses,
                polling,
            }),
            Err(error) => {
                // It may have ended already.
                let _ = child.kill();
                let _ = child.wait();
                let log = fs::read_to_string(&log)?;
                Err(error.context(format!("{name} did not start; its log:\n{log}")))
            }
        }
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

    /// Its log, including earlier runs.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(&self.log).context("read the log")
    }

    /// Sends SIGTERM and waits until the process has ended. The caller's own connections to it can
    /// close meanwhile, for which a shutdown waits.
    ///
    /// # Errors
    /// When it has not ended within the patience given to [`Service::start`].
    pub async fn stop(mut self) -> Result<ExitStatus> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("process id")?, Signal::TERM)?;
        self.polling
            .until("its end", async || Ok(self.child.try_wait()?))
            .await
            .with_context(|| format!("{} did not stop", self.name))
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

/// Starts `command` as [`Service::start`] does, and kills it `after` some time, whether or not it
/// has bound its ports by then.
pub async fn start_and_crash(
    name: &'static str,
    command: Command,
    dir: &Path,
    after: Duration,
) -> Result<()> {
    let Started { mut child, .. } = spawn(name, command, dir)?;
    tokio::time::sleep(after).await;
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
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
