//! The worker processes of a trainer with `--executor process`, by their lock files.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

/// A worker process.
pub struct Worker {
    /// Id of its job.
    pub job_id: String,
    /// Number of its attempt.
    pub attempt: u32,
    lock: PathBuf,
    pid: Pid,
}

impl Worker {
    /// The workers that live and have written their process id.
    ///
    /// # Errors
    /// When the folder has files of another kind, or cannot be read.
    pub fn alive(state: &Path) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for lock in lock_files(state)? {
            let name = lock.file_name().and_then(|name| name.to_str());
            let (job_id, attempt) = name
                .and_then(|name| name.rsplit_once('-'))
                .context("a lock file")?;
            let Ok(text) = fs::read_to_string(&lock) else {
                // Removed meanwhile.
                continue;
            };
            let Some(pid) = text.parse().ok().and_then(Pid::from_raw) else {
                continue;
            };
            let worker = Self {
                job_id: job_id.to_owned(),
                attempt: attempt.parse()?,
                lock: lock.clone(),
                pid,
            };
            if worker.is_alive() {
                found.push(worker);
            }
        }
        Ok(found)
    }

    /// Whether it holds its lock.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let lock = File::open(&self.lock);
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // It may end just now.
            let _ = kill_process(self.pid, signal);
        }
    }
}

/// Kills, when it is dropped, the workers of all state folders in a folder: a worker outlives its
/// trainer, and a test that fails would leave it behind.
#[derive(Debug)]
pub struct KillLeft(PathBuf);

impl KillLeft {
    /// Of the state folders in `folder`.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self(folder.to_owned())
    }
}

impl Drop for KillLeft {
    fn drop(&mut self) {
        let Ok(folders) = fs::read_dir(&self.0) else {
            return;
        };
        for folder in folders.flatten() {
            for worker in Worker::alive(&folder.path()).into_iter().flatten() {
                worker.signal(Signal::KILL);
            }
        }
    }
}

/// The lock files of all workers, also of dead ones that the trainer has not seen yet.
///
/// # Errors
/// When the folder cannot be read.
pub fn lock_files(state: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(state.join("workers")) else {
        // No worker was started yet.
        return Ok(Vec::new());
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}
