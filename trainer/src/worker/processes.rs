//! Workers as child processes of the trainer, which outlive it.
//!
//! Each holds a lock on a file in the state folder as long as it lives. The trainer takes the lock
//! before it starts the process, which inherits it as its standard input: so it is known at every
//! moment, also to the next trainer, whether a worker lives.

use super::{
    error::LaunchError,
    launcher::{AtShutdown, Launcher, Start, WorkerExit, WorkerStatus},
};
use crate::job::JobId;
use digits_checkpoint::runs::Attempt;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Time in which a worker ends that has reported its end.
const END_GRACE: Duration = Duration::from_secs(5);
/// Time in which the worker of a cancelled job ends, before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Interval at which its end is polled.
const END_POLL: Duration = Duration::from_millis(5);

/// How worker processes are started.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// Program of the workers.
    pub program: PathBuf,
    /// Arguments of all workers.
    pub arguments: Vec<OsString>,
    /// Folder of the lock files.
    pub locks: PathBuf,
    /// Time that workers have for their resume bundles while the trainer shuts down.
    pub shutdown_grace: Duration,
}

impl WorkerCommand {
    /// Deletes the lock files of jobs other than `unfinished`, which a trainer leaves that dies
    /// between the end of a job and that of its worker.
    pub fn sweep_locks(&self, unfinished: &HashSet<JobId>) {
        // Without the folder no worker was started yet.
        for lock in fs::read_dir(&self.locks).into_iter().flatten().flatten() {
            let name = lock.file_name();
            let job = name.to_str().and_then(|name| name.rsplit_once('-'));
            let job = job.and_then(|(job, _)| job.parse().ok());
            if job.is_some_and(|job| !unfinished.contains(&job)) {
                // On failure a small file stays.
                let _ = fs::remove_file(lock.path());
            }
        }
    }
}

/// Worker processes.
pub(super) struct Processes {
    command: WorkerCommand,
    /// Those that this process has started.
    children: Mutex<HashMap<Attempt, Child>>,
}

impl Processes {
    pub(super) fn new(command: WorkerCommand) -> Self {
        Self {
            command,
            children: Mutex::default(),
        }
    }

    fn lock_file(&self, attempt: &Attempt) -> PathBuf {
        let Attempt { job, number } = attempt;
        self.command.locks.join(format!("{job}-{number}"))
    }

    fn children(&self) -> MutexGuard<'_, HashMap<Attempt, Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_alive(&self, attempt: &Attempt) -> bool {
        if let Some(child) = self.children().get_mut(attempt) {
            // Reaps it, if it has ended.
            let _ = child.try_wait();
        }
        let Ok(lock) = File::open(self.lock_file(attempt)) else {
            return false;
        };
        matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
    }

    fn exit_code(&self, attempt: &Attempt) -> Option<u8> {
        let since = Instant::now();
        // The lock is free a moment before the process has ended.
        while since.elapsed() < END_GRACE {
            let status = self.children().get_mut(attempt)?.try_wait().ok()?;
            if let Some(status) = status {
                return status.code().and_then(|code| u8::try_from(code).ok());
            }
            thread::sleep(END_POLL);
        }
        None
    }

    fn signal(&self, attempt: &Attempt, signal: Signal) {
        // Its lock shows that the process id is still its own.
        if !self.is_alive(attempt) {
            return;
        }
        let pid = match self.children().get(attempt) {
            Some(child) => i32::try_from(child.id()).ok(),
            None => fs::read_to_string(self.lock_file(attempt))
                .ok()
                .and_then(|text| text.trim().parse().ok()),
        };
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            tracing::debug!(%attempt, "the process id of a worker is not known yet; it is not signalled");
            return;
        };
        if let Err(error) = kill_process(pid, signal) {
            tracing::warn!(%attempt, %error, "a worker process cannot be signalled");
        }
    }
}

impl Launcher for Processes {
    async fn launch(&self, start: &Start<'_>) -> Result<(), LaunchError> {
        let Start { slot, attempt, .. } = start;
        let earlier = Attempt {
            job: attempt.job.clone(),
            number: attempt.number - 1,
        };
        self.kill(&earlier);
        self.forget(&earlier);
        fs::create_dir_all(&self.command.locks)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(self.lock_file(attempt))?;
        lock.try_lock().map_err(io::Error::from)?;
        let mut command = Command::new(&self.command.program);
        command
            .arg("work")
            .args(&self.command.arguments)
            .arg("--job")
            .arg(&attempt.job)
            .arg("--attempt")
            .arg(attempt.number.to_string())
            .arg("--device")
            .arg(slot.device.to_string())
            .arg("--threads")
            .arg(slot.threads.to_string())
            .arg("--lock-on-stdin")
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null());
        let child = command.spawn()?;
        tracing::info!(%attempt, pid = child.id(), "worker process started");
        self.children().insert((*attempt).clone(), child);
        Ok(())
    }

    fn status(&self, attempt: &Attempt) -> WorkerStatus {
        if self.is_alive(attempt) {
            return WorkerStatus::Running;
        }
        WorkerStatus::Ended(WorkerExit {
            code: self.exit_code(attempt),
            reason: "its lines in this log say why".to_owned(),
            ..WorkerExit::default()
        })
    }

    fn stop(&self, attempt: &Attempt) {
        self.signal(attempt, Signal::TERM);
    }

    fn stop_grace(&self) -> Duration {
        STOP_GRACE
    }

    fn at_shutdown(&self) -> AtShutdown {
        AtShutdown::Stop(self.command.shutdown_grace)
    }

    fn kill(&self, attempt: &Attempt) {
        self.signal(attempt, Signal::KILL);
    }

    fn forget(&self, attempt: &Attempt) {
        let child = self.children().remove(attempt);
        if let Some(mut child) = child {
            reap(&mut child);
        }
        // Those of earlier attempts are there if a trainer died before it started the next worker.
        // On failure a small file stays.
        for number in 0..=attempt.number {
            let job = attempt.job.clone();
            let _ = fs::remove_file(self.lock_file(&Attempt { job, number }));
        }
    }
}

/// Waits for the end of a worker that has reported its end or was killed.
fn reap(child: &mut Child) {
    let since = Instant::now();
    while let Ok(None) = child.try_wait() {
        if since.elapsed() > END_GRACE {
            // It has nothing left to do. Fails when it has ended just now.
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        thread::sleep(END_POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &std::path::Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("the folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.map(|it| it.into_string().expect("a name")).collect();
        names.sort();
        names
    }

    #[test]
    fn no_lock_file_of_a_job_that_is_over_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let command = WorkerCommand {
            program: PathBuf::new(),
            arguments: Vec::new(),
            locks: folder.path().to_owned(),
            shutdown_grace: Duration::ZERO,
        };
        let [over, running] = [(); 2].map(|()| JobId::generate());
        for name in [
            format!("{over}-1"),
            format!("{running}-0"),
            format!("{running}-1"),
        ] {
            fs::write(folder.path().join(name), b"").expect("written");
        }
        fs::write(folder.path().join("other"), b"").expect("written");
        command.sweep_locks(&HashSet::from([running]));
        let left = [
            format!("{running}-0"),
            format!("{running}-1"),
            "other".to_owned(),
        ];
        assert_eq!(names(folder.path()), left);
        Processes::new(command).forget(&Attempt {
            job: running.to_string(),
            number: 1,
        });
        assert_eq!(names(folder.path()), ["other"]);
    }
}
