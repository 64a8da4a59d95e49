//! The trainer as a child process, for tests of its log, its metrics recorder and its exit code.

use anyhow::{Context as _, bail};
use digits_testing::until;
use digits_trainer::app::Addresses;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

/// Held while a process is started.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts a process.
///
/// Until its exec a child has all files of this process open, and with them the locks of the state
/// folders. See [`wait_for_starts`].
pub fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// Returns when no child holds the lock of a state folder that was closed before. Call it before a
/// folder is opened again.
pub fn wait_for_starts() {
    drop(STARTING.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> std::io::Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    spawn(command)?.wait_with_output()
}

/// The engine binary, without the log filter of the test's environment.
pub fn engine() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_digits-trainer-engine"));
    command.env_remove("DIGITS_LOG").env_remove("RUST_LOG");
    command
}

/// The trainer on free ports, with its state and storage in `folder`.
pub fn service(folder: &Path, ready_file: &Path) -> Command {
    let mut command = engine();
    command
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .args(["--shutdown-delay", "0"])
        .arg("--storage")
        .arg(folder.join("storage"))
        .arg("--state")
        .arg(folder.join("state"))
        .arg("--ready-file")
        .arg(ready_file);
    command
}

/// A running child process; killed when dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    logging: Option<JoinHandle<()>>,
    printing: Option<JoinHandle<String>>,
}

/// How a process ended.
pub struct Ended {
    /// `None` after a signal that it did not handle.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub printed: String,
    /// What it wrote to standard error.
    pub log: String,
}

impl Process {
    /// Starts `command` with `input` on its standard input.
    pub fn start(command: &mut Command, input: &str) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = spawn(command).expect("started");
        // A process that does not read its input may have ended already.
        let _ = child
            .stdin
            .take()
            .expect("piped")
            .write_all(input.as_bytes());
        let (stderr, mut stdout) = (
            child.stderr.take().expect("piped"),
            child.stdout.take().expect("piped"),
        );
        let log = Arc::<Mutex<Vec<String>>>::default();
        let lines = Arc::clone(&log);
        // Both pipes are read to their end, so that a full one never holds the child up.
        let logging = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().expect("no panic").push(line);
            }
        });
        let printing = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).expect("UTF-8");
            text
        });
        Self {
            child,
            log,
            logging: Some(logging),
            printing: Some(printing),
        }
    }

    fn log(&self) -> String {
        self.log.lock().expect("no panic").join("\n")
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.expect("a process")
    }

    /// Waits for a line of the log that contains `part`.
    pub async fn logged(&mut self, part: &str) {
        let what = format!("a log line with {part:?}");
        let logged = until(&what, async || {
            if self.log().contains(part) {
                return Ok(Some(()));
            }
            match self.child.try_wait()? {
                Some(status) => bail!("ended with {status}:\n{}", self.log()),
                None => Ok(None),
            }
        });
        logged.await.expect("logged");
    }

    /// Waits for the ready file of a service.
    pub async fn ready(&mut self, file: &Path) -> Addresses {
        #[derive(Deserialize)]
        struct Ready {
            grpc: String,
            admin: String,
        }
        let ready = until("the ready file", async || {
            if let Ok(text) = fs::read(file) {
                let ready: Ready = serde_json::from_slice(&text).context("the ready file")?;
                return Ok(Some(Addresses {
                    grpc: ready.grpc.parse()?,
                    admin: ready.admin.parse()?,
                }));
            }
            match self.child.try_wait()? {
                Some(status) => bail!("ended with {status}:\n{}", self.log()),
                None => Ok(None),
            }
        });
        ready.await.expect("ready")
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Ended {
        let status = until("the end of the process", async || {
            Ok(self.child.try_wait()?)
        });
        let status = status.await;
        let status = status.unwrap_or_else(|error| panic!("{error}:\n{}", self.log()));
        let logging = self.logging.take().expect("only taken here");
        logging.join().expect("no panic");
        let printing = self.printing.take().expect("only taken here");
        Ended {
            code: status.code(),
            printed: printing.join().expect("no panic"),
            log: self.log(),
        }
    }

    /// Sends it a signal and waits for its end.
    pub async fn end_by(self, signal: Signal) -> Ended {
        kill_process(self.pid(), signal).expect("sent");
        self.end().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail for one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
