//! A bucket to test with: moto, an emulation of S3 in Python that shares no code with our client.

use crate::mnist::skip;
use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsString,
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "digits-test";

/// A running emulation with one empty bucket in its memory; killed when dropped.
pub struct Bucket {
    child: Child,
    address: String,
}

impl Bucket {
    /// Starts it on a free loopback port, its log in `dir`. Where Python has no moto, `test` is skipped as [`skip`]
    /// does it.
    ///
    /// # Errors
    /// When it does not come up.
    ///
    /// # Panics
    /// With `DIGITS_FORBID_SKIP=1` and without moto.
    pub fn start(dir: &Path, test: &str) -> Result<Option<Self>> {
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
        bucket.address = bucket.listens_at(&log)?;
        let answer = ureq::put(format!("{}/{NAME}", bucket.address)).send_empty()?;
        ensure!(answer.status().is_success(), "{answer:?}");
        Ok(Some(bucket))
    }

    fn listens_at(&mut self, log: &Path) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = fs::read_to_string(log)?;
            if let Some((_, after)) = told.split_once("Running on ")
                && let Some((address, _)) = after.split_once('\n')
            {
                return Ok(address.trim().to_owned());
            }
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("moto did not come up:\n{told}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The storage of a pair in it.
    #[must_use]
    pub fn storage(&self) -> String {
        format!("s3://{NAME}/production")
    }

    /// What a program needs in its environment to reach it.
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

    /// From now on takes connections and answers none.
    pub fn fall_silent(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Answers again, what was asked meanwhile as well.
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
        // It may have ended already; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn has_moto(python: &OsString) -> bool {
    let asked = Command::new(python)
        .args(["-c", "import moto.server, flask"])
        .output();
    asked.is_ok_and(|output| output.status.success())
}
