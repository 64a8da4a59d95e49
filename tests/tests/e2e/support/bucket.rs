//! A bucket to test with: moto, an emulation of S3 in Python that shares no code with our client.

use anyhow::{Context as _, Result, bail, ensure};
use digits_testing::{skip, until};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsString,
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};

const NAME: &str = "digits-test";
/// The state of an open connection in `/proc/net/tcp`; proc(5).
const ESTABLISHED: &str = "01";

/// A running emulation with one empty bucket in its memory; killed when dropped.
pub struct Bucket {
    child: Child,
    address: String,
}

impl Bucket {
    /// Starts it on a free loopback port, its log in `dir`. Where Python has no moto, `test` is
    /// skipped as [`skip`] does it.
    ///
    /// # Errors
    /// When it does not come up.
    ///
    /// # Panics
    /// With `DIGITS_FORBID_SKIP=1` and without moto.
    pub async fn start(dir: &Path, test: &str) -> Result<Option<Self>> {
        let python = std::env::var_os("DIGITS_PYTHON").unwrap_or_else(|| "python3".into());
        if !has_moto(&python) {
            skip(
                test,
                "Python lacks what tests/python/requirements.txt names; set DIGITS_PYTHON",
            );
            return Ok(None);
        }
        let log = dir.join("bucket.log");
        let output = File::create(&log)?;
        let child = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let mut bucket = Self {
            child,
            address: String::new(),
        };
        bucket.address = bucket.listens_at(&log).await?;
        let answer = ureq::put(format!("{}/{NAME}", bucket.address)).send_empty()?;
        ensure!(answer.status().is_success(), "{answer:?}");
        Ok(Some(bucket))
    }

    async fn listens_at(&mut self, log: &Path) -> Result<String> {
        until("moto listens", async || {
            let text = fs::read_to_string(log)?;
            if let Some((_, after)) = text.split_once("Running on ")
                && let Some((address, _)) = after.split_once('\n')
            {
                return Ok(Some(address.trim().to_owned()));
            }
            match self.child.try_wait()? {
                Some(status) => bail!("moto ended with {status}:\n{text}"),
                None => Ok(None),
            }
        })
        .await
    }

    /// URL of a storage in it.
    #[must_use]
    pub fn storage(&self) -> String {
        format!("s3://{NAME}/production")
    }

    /// Environment variables of a client.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT", self.address.clone()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    /// Stops responding: accepts connections from now on, and answers none.
    pub fn fall_silent(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Whether a request has arrived since [`Bucket::fall_silent`]: bytes that it has not read, as
    /// Linux lists them for each connection.
    pub fn has_unread_requests(&self) -> Result<bool> {
        let port = self.address.rsplit(':').next().context("a port")?;
        let local = format!("0100007F:{:04X}", port.parse::<u16>()?);
        let connections = fs::read_to_string("/proc/net/tcp")?;
        Ok(connections.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, address, _, state, queues, ..] = fields[..] else {
                return false;
            };
            let unread = queues.split(':').nth(1);
            address == local && state == ESTABLISHED && unread.is_some_and(|it| it != "00000000")
        }))
    }

    /// Responds again, also to the pending requests.
    pub fn speak_again(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.context("process id")?, signal)?)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn has_moto(python: &OsString) -> bool {
    let imported = Command::new(python)
        .args(["-c", "import moto.server, flask"])
        .output();
    imported.is_ok_and(|output| output.status.success())
}
