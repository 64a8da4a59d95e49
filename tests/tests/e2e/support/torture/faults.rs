//! Faults of the storage, the database and the process's limits, while jobs are submitted and run.

use super::{Summary, Torture};
use anyhow::{Result, ensure};
use digits_proto::v1::{WatchJobResponse, training_service_client::TrainingServiceClient};
use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

/// A submission without an answer for this long ends with the next one under the same request id.
const SUBMISSION: Duration = Duration::from_secs(2);

/// A fault that lasts for a while.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// A file is in the place of a folder of the storage, so that nothing can be written there.
    Storage,
    /// The trainer can open no further file or connection.
    Descriptors,
    /// Another program holds the write lock of the job database.
    Lock,
    /// The files of the job database are deleted, once.
    Database,
}

impl Fault {
    /// What the trainer logs meanwhile: nothing where it only waits.
    fn warnings(self) -> &'static [&'static str] {
        match self {
            Self::Storage => &["output of a job cannot be written; retrying"],
            Self::Descriptors => &["Too many open files"],
            Self::Lock => &[],
            Self::Database => &["removed the file of the job database"],
        }
    }
}

/// A watch of the job with this number.
type Listener = (usize, JoinHandle<Result<Vec<WatchJobResponse>>>);

impl Torture {
    /// Lets these faults happen, one after the other, and compares the results.
    pub async fn run_with_faults(mut self, faults: &[(Fault, Duration)]) -> Result<Summary> {
        let flags = ["--workers", "2", "--bundle-interval", "50ms"];
        self.sandbox.start_trainer(&flags).await?;
        let training = self.sandbox.training().await?;
        let mut listeners = Vec::new();
        for (fault, duration) in faults {
            self.submit_all(&training).await?;
            self.listen_further(&training, &mut listeners);
            tokio::time::sleep(self.random.time(*duration)).await;
            let ends = self.begin(*fault)?;
            // It may have been accepted; the next submission shows it.
            self.submit_during(&training).await;
            tokio::time::sleep(*duration).await;
            ends.end()?;
            self.hear_ended(&mut listeners).await?;
        }
        self.hear(listeners).await?;
        let warnings = faults.iter().flat_map(|(fault, _)| fault.warnings());
        let warnings: Vec<&str> = warnings.copied().collect();
        self.finish(&warnings).await?;
        let noticed = warnings.is_empty() || self.summary.warnings > 0;
        ensure!(noticed, "the trainer noticed none of {faults:?}");
        Ok(self.summary)
    }

    fn listen_further(
        &self,
        training: &TrainingServiceClient<Channel>,
        listeners: &mut Vec<Listener>,
    ) {
        let new = |number: &usize| listeners.iter().all(|(other, _)| other != number);
        let further: Vec<Listener> = self
            .listen(training)
            .into_iter()
            .filter(|(number, _)| new(number))
            .collect();
        listeners.extend(further);
    }

    /// Takes in the events of the jobs that have ended.
    async fn hear_ended(&mut self, listeners: &mut Vec<Listener>) -> Result<()> {
        let ended = listeners.extract_if(.., |(_, events)| events.is_finished());
        let ended = ended.collect();
        self.hear(ended).await
    }

    async fn submit_during(&mut self, training: &TrainingServiceClient<Channel>) {
        let mut victim = self.new_victim();
        let request = self.request(&victim);
        let mut training = training.clone();
        let answer = tokio::time::timeout(SUBMISSION, training.submit_job(request)).await;
        if let Ok(Ok(answer)) = answer
            && let Some(job) = answer.into_inner().job
        {
            victim.is_known_as(job.job_id, &self.folders());
        }
        self.victims.push(victim);
    }

    fn begin(&mut self, fault: Fault) -> Result<Ends> {
        let storage = self.sandbox.dir().join("storage");
        match fault {
            Fault::Storage => {
                let folder = ["checkpoints", "serving"][self.random.below(2) as usize];
                Blocked::begin(&storage, folder).map(Ends::Storage)
            }
            Fault::Descriptors => {
                let pid = self.sandbox.trainer()?.pid();
                Limited::begin(pid).map(Ends::Descriptors)
            }
            Fault::Lock => {
                let lock = Connection::open(self.state().join("jobs.sqlite3"))?;
                lock.execute_batch("BEGIN IMMEDIATE")?;
                Ok(Ends::Lock(lock))
            }
            Fault::Database => {
                for file in ["jobs.sqlite3", "jobs.sqlite3-wal", "jobs.sqlite3-shm"] {
                    match fs::remove_file(self.state().join(file)) {
                        // The trainer is writing the others again.
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        removed => removed?,
                    }
                }
                Ok(Ends::Nothing)
            }
        }
    }
}

/// A fault that has begun.
enum Ends {
    Storage(Blocked),
    Descriptors(Limited),
    Lock(Connection),
    Nothing,
}

impl Ends {
    fn end(self) -> Result<()> {
        match self {
            Self::Storage(blocked) => blocked.end(),
            Self::Descriptors(limited) => limited.end(),
            Self::Lock(lock) => Ok(lock.execute_batch("ROLLBACK")?),
            Self::Nothing => Ok(()),
        }
    }
}

/// A file in the place of a folder: nothing can be written there, not even by root.
struct Blocked {
    folder: PathBuf,
    away: PathBuf,
}

impl Blocked {
    fn begin(storage: &Path, name: &str) -> Result<Self> {
        let (folder, away) = (storage.join(name), storage.join(format!("{name} away")));
        // Not there before the first checkpoint.
        let _ = fs::rename(&folder, &away);
        fs::write(&folder, "in the way")?;
        Ok(Self { folder, away })
    }

    fn end(self) -> Result<()> {
        fs::remove_file(&self.folder)?;
        if self.away.exists() {
            fs::rename(self.away, self.folder)?;
        }
        Ok(())
    }
}

/// A process whose limit of open files is below what it has open.
struct Limited {
    pid: Option<Pid>,
    before: Rlimit,
}

impl Limited {
    fn begin(pid: u32) -> Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let none = Rlimit {
            current: Some(8),
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        let before = prlimit(pid, Resource::Nofile, none)?;
        Ok(Self { pid, before })
    }

    fn end(self) -> Result<()> {
        prlimit(self.pid, Resource::Nofile, self.before)?;
        Ok(())
    }
}
