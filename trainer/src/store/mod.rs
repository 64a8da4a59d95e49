//! The trainer's memory: jobs, their events and curves, and what is to happen with checkpoints, in SQLite.
//!
//! One thread owns the database; everybody else sends it closures through a bounded channel. The writes that
//! wait there are carried out in one transaction (each closure in its own savepoint) and answered after the
//! commit, so that many small ones share one fsync and nothing is told before it is durable. What only reads
//! comes after that, and is answered whether or not there is room to write.
//!
//! Specs and other messages are opaque bytes here. Nothing here trains or publishes.

mod checkpoints;
mod claim;
mod events;
mod jobs;
mod lock;
mod owner;
mod reserve;
mod schema;
mod signals;

pub use checkpoints::{Intention, IntentionState};
pub use claim::{Ending, Recovery, STARTS_AT_MOST};
pub use events::{Sampled, StoredEvent};
pub use jobs::{Job, JobFilter, NewJob, Submitted};
pub use signals::Signals;

use digits_telemetry::supervisor::{Supervisor, Task};
use owner::{Message, Waiting, own, read, write};
use reserve::Reserve;
use rusqlite::{Connection, Transaction};
use std::{path::Path, sync::Arc};
use tokio::sync::{mpsc, oneshot};

/// Closures that may wait for the database.
const PENDING_AT_MOST: usize = 256;

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("the job database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The folder cannot be used.
    #[error("the state folder {path}: {reason}")]
    Folder {
        /// Which.
        path: String,
        /// Why, and what to do.
        reason: String,
    },
    /// What is stored cannot be read back: a bug, or a file changed by another program.
    #[error("the job database holds what this program did not write: {0}")]
    Corrupt(String),
    /// The queue has no room.
    #[error("the queue is full: {waiting} jobs wait already")]
    QueueFull {
        /// Jobs that wait.
        waiting: u64,
    },
    /// The request id was used for another spec.
    #[error("the request id was used before with another spec")]
    RequestIdTaken,
    /// No such job.
    #[error("there is no such job")]
    NoSuchJob,
    /// SQLite could not make a transaction durable: nothing of it counts.
    #[error("the job database does not commit: {0}")]
    NotCommitted(Arc<rusqlite::Error>),
    /// The owning thread is gone.
    #[error("the job database is closed")]
    Closed,
}

impl StoreError {
    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Sqlite(error) => is_full(error),
            Self::NotCommitted(error) => is_full(error),
            _ => false,
        }
    }

    /// What a client is told of it, without paths and causes.
    #[must_use]
    pub fn told(&self) -> String {
        if self.is_full() {
            "the disk with the trainer's job database is full: make room there and submit the job again"
                .to_owned()
        } else {
            "the trainer's job database failed; the trainer's log says why".to_owned()
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

/// Handle of the database; cheap to clone. The database closes when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    tasks: mpsc::Sender<Message>,
    signals: Arc<Signals>,
}

impl Store {
    /// Opens the database in `folder`, which is made when it is not there, and takes it for this
    /// process alone. A panic of the owning thread fails liveness: what it was about to commit is
    /// unknown, and every later call would fail with [`StoreError::Closed`].
    ///
    /// # Errors
    /// [`StoreError::Folder`] where the folder is used by another trainer or lies on a network file system.
    pub fn open(folder: &Path, supervisor: &Supervisor) -> Result<Self, StoreError> {
        let lock = lock::take(folder)?;
        let mut connection = Connection::open(folder.join("jobs.sqlite3"))?;
        schema::prepare(&mut connection)?;
        let reserve = Reserve::take(folder);
        let (tasks, receiver) = mpsc::channel(PENDING_AT_MOST);
        supervisor
            .watch_thread(Task::new("store"), move || {
                let told = own(connection, receiver, reserve);
                drop(lock);
                for closed in told {
                    // Whoever wanted to know may be gone.
                    let _ = closed.send(());
                }
            })
            .map_err(|error| StoreError::Folder {
                path: folder.display().to_string(),
                reason: format!("no thread could be started for it: {error}"),
            })?;
        Ok(Self {
            tasks,
            signals: Arc::new(Signals::default()),
        })
    }

    /// Tells watchers which jobs have new events.
    #[must_use]
    pub fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    /// Closes the database for every handle, after what waits there was carried out; the folder is free when it
    /// returns. Without it the database closes when the last handle is dropped.
    pub async fn close(&self) {
        let (told, closed) = oneshot::channel();
        // Closed already: then there is nothing to wait for.
        if self.tasks.send(Message::Close(told)).await.is_ok() {
            let _ = closed.await;
        }
    }

    /// Carries out `work` on the owning thread and waits for the commit.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (message, answer) = write(work);
        self.ask(message, answer).await
    }

    /// Carries out `work`, which only reads, on the owning thread.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (message, answer) = read(work);
        self.ask(message, answer).await
    }

    /// [`Store::write`] for threads without a runtime.
    fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (message, answer) = write(work);
        self.ask_blocking(message, answer)
    }

    /// [`Store::read`] for threads without a runtime.
    fn read_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (message, answer) = read(work);
        self.ask_blocking(message, answer)
    }

    async fn ask<T>(&self, message: Message, answer: Waiting<T>) -> Result<T, StoreError> {
        self.tasks
            .send(message)
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    fn ask_blocking<T>(&self, message: Message, answer: Waiting<T>) -> Result<T, StoreError> {
        self.tasks
            .blocking_send(message)
            .map_err(|_| StoreError::Closed)?;
        answer.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }
}

#[cfg(test)]
mod tests;
