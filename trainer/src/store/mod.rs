//! The trainer's memory: jobs, their events and curves, and what is to happen with checkpoints, in SQLite.
//!
//! One thread owns the database; everybody else sends it closures through a bounded channel. What
//! waits there is carried out in one transaction (each closure in its own savepoint) and answered
//! after the commit, so that many small writes share one fsync and nothing is told before it is durable.
//!
//! Specs and other messages are opaque bytes here. Nothing here trains or publishes.

mod checkpoints;
mod claim;
mod events;
mod jobs;
mod lock;
mod reserve;
mod schema;
mod signals;

pub use checkpoints::{Intention, IntentionState};
pub use claim::{Ending, Recovery, STARTS_AT_MOST};
pub use events::{Sampled, StoredEvent};
pub use jobs::{Job, JobFilter, NewJob, Submitted};
pub use signals::Signals;

use reserve::Reserve;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::{path::Path, sync::Arc, thread};
use tokio::sync::{mpsc, oneshot};

/// Closures that may wait for the database.
const PENDING_AT_MOST: usize = 256;
/// Closures that share one transaction.
const GROUP_AT_MOST: usize = 64;

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

type Answer = Box<dyn FnOnce(Result<(), Arc<rusqlite::Error>>) + Send>;
type Task = Box<dyn FnOnce(&mut Transaction<'_>) -> Answer + Send>;

enum Message {
    Task(Task),
    Close(oneshot::Sender<()>),
}

/// Handle of the database; cheap to clone. The database closes when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    tasks: mpsc::Sender<Message>,
    signals: Arc<Signals>,
}

impl Store {
    /// Opens the database in `folder`, which is made when it is not there, and takes it for this
    /// process alone.
    ///
    /// # Errors
    /// [`StoreError::Folder`] where the folder is used by another trainer or lies on a network file system.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let lock = lock::take(folder)?;
        let mut connection = Connection::open(folder.join("jobs.sqlite3"))?;
        schema::prepare(&mut connection)?;
        let reserve = Reserve::take(folder);
        let (tasks, receiver) = mpsc::channel(PENDING_AT_MOST);
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
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
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (task, answer) = task(work);
        self.tasks
            .send(Message::Task(task))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// The same for threads without a runtime.
    fn call_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (task, answer) = task(work);
        self.tasks
            .blocking_send(Message::Task(task))
            .map_err(|_| StoreError::Closed)?;
        answer.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }
}

/// A closure in its savepoint: what it did is undone when it fails, the others of its group stay.
fn task<T: Send + 'static>(
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
) -> (Task, oneshot::Receiver<Result<T, StoreError>>) {
    let (reply, answer) = oneshot::channel();
    let task: Task = Box::new(move |transaction| {
        let result = in_savepoint(transaction, work);
        Box::new(move |committed| {
            let result = match committed {
                Ok(()) => result,
                Err(error) => Err(StoreError::NotCommitted(error)),
            };
            // Nobody waits any longer when the caller went away.
            drop(reply.send(result));
        })
    });
    (task, answer)
}

fn in_savepoint<T>(
    transaction: &Transaction<'_>,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    transaction.execute_batch("SAVEPOINT task")?;
    match work(transaction) {
        Ok(value) => {
            transaction.execute_batch("RELEASE task")?;
            Ok(value)
        }
        Err(error) => {
            transaction.execute_batch("ROLLBACK TO task; RELEASE task")?;
            Err(error)
        }
    }
}

/// Works until the last handle is dropped or the database is to be closed; returns those who wait for that.
fn own(
    mut connection: Connection,
    mut messages: mpsc::Receiver<Message>,
    mut reserve: Reserve,
) -> Vec<oneshot::Sender<()>> {
    let mut told = Vec::new();
    while told.is_empty()
        && let Some(first) = messages.blocking_recv()
    {
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Task(task) => group.push(task),
                Message::Close(closed) => told.push(closed),
            }
            next = (group.len() < GROUP_AT_MOST && told.is_empty())
                .then(|| messages.try_recv().ok())
                .flatten();
        }
        if carry_out(&mut connection, group) == Disk::Full {
            reserve.give_up();
        }
    }
    // Leaves one file behind, not three.
    if let Err(error) = connection.close() {
        tracing::warn!(error = %error.1, "the job database did not close");
    }
    told
}

/// What a transaction found.
#[derive(PartialEq, Eq)]
enum Disk {
    HasRoom,
    Full,
}

fn carry_out(connection: &mut Connection, group: Vec<Task>) -> Disk {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Deferred);
    let mut transaction = match begun {
        Ok(transaction) => transaction,
        Err(error) => {
            // The tasks are dropped, and with them the reply channels: callers see `Closed`.
            tracing::error!(%error, "the job database does not begin a transaction");
            return Disk::HasRoom;
        }
    };
    let answers: Vec<Answer> = group
        .into_iter()
        .map(|task| task(&mut transaction))
        .collect();
    let committed = transaction.commit().map_err(Arc::new);
    if let Err(error) = &committed {
        tracing::error!(%error, "the job database does not commit");
    }
    let disk = match &committed {
        Err(error) if is_full(error) => Disk::Full,
        _ => Disk::HasRoom,
    };
    for answer in answers {
        answer(committed.clone());
    }
    disk
}
