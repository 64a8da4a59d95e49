//! The thread that owns the database. Queued writes share a transaction, each in its own savepoint;
//! reads follow it, and are not affected when it fails. While another program holds the write lock,
//! reads are answered and writes wait.

use super::{
    database::Database,
    error::{StoreError, is_full, is_locked},
    files::Loss,
    reserve::Reserve,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// Closures that share one transaction.
const MAX_GROUP: usize = 64;
/// Writes that wait together for the write lock; further ones stay in the channel.
const MAX_WAITING: usize = 256;
/// Time for which writes wait for the write lock before they fail.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(5);
/// Time between two rounds of reads while writes wait for the write lock.
const LOCK_POLL: Duration = Duration::from_millis(50);

pub(super) type Answer = Box<dyn FnOnce(Result<(), Arc<rusqlite::Error>>) + Send>;
/// Carries out a write, or answers it with the reason why no transaction could begin.
pub(super) type Write =
    Box<dyn FnOnce(Result<&Transaction<'_>, &NotBegun>) -> Option<Written> + Send>;
pub(super) type Read = Box<dyn FnOnce(&Connection) + Send>;

/// A write that was carried out, before its commit.
pub(super) struct Written {
    answer: Answer,
    /// Why SQLite rolled back the whole transaction, which it may do when the disk is full or
    /// fails.
    undone: Option<Arc<rusqlite::Error>>,
}

/// Why no transaction could begin.
pub(super) enum NotBegun {
    /// Another program holds the write lock.
    Locked,
    /// The files of the database are gone.
    Lost(Loss),
    /// SQLite failed.
    Failed(Arc<rusqlite::Error>),
}

impl From<&NotBegun> for StoreError {
    fn from(reason: &NotBegun) -> Self {
        match reason {
            NotBegun::Locked => Self::Locked,
            NotBegun::Lost(loss) => Self::Lost(*loss),
            NotBegun::Failed(error) => Self::NotCommitted(Arc::clone(error)),
        }
    }
}

/// A message to the thread.
pub(super) enum Message {
    /// Carried out in a transaction.
    Write(Write),
    /// As [`Write`](Self::Write), and the reserved disk space is freed where it finds the disk full.
    Urgent(Write),
    /// Carried out after it.
    Read(Read),
    /// Close the database.
    Close(oneshot::Sender<()>),
}

/// Receives the result of a closure.
pub(super) type Waiting<T> = oneshot::Receiver<Result<T, StoreError>>;

/// A closure in its own savepoint: when it fails, its changes are rolled back and the others of its
/// group stay.
pub(super) fn write<T: Send + 'static>(
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
) -> (Write, Waiting<T>) {
    let (reply, answer) = oneshot::channel();
    let task: Write = Box::new(move |begun| {
        let transaction = match begun {
            Ok(transaction) => transaction,
            Err(reason) => {
                // Fails when the caller is gone.
                drop(reply.send(Err(reason.into())));
                return None;
            }
        };
        let result = in_savepoint(transaction, work);
        let (result, undone) = match result {
            Err(StoreError::Sqlite(error)) if transaction.is_autocommit() => {
                let error = Arc::new(error);
                (Err(StoreError::NotCommitted(error.clone())), Some(error))
            }
            result => (result, None),
        };
        let answer: Answer = Box::new(move |committed| {
            let result = match committed {
                Ok(()) => result,
                Err(error) => Err(StoreError::NotCommitted(error)),
            };
            drop(reply.send(result));
        });
        Some(Written { answer, undone })
    });
    (task, answer)
}

/// A closure that only reads.
pub(super) fn read<T: Send + 'static>(
    work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> (Message, Waiting<T>) {
    let (reply, answer) = oneshot::channel();
    let task: Read = Box::new(move |connection| drop(reply.send(work(connection))));
    (Message::Read(task), answer)
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
            // Where SQLite has rolled back everything, no savepoint is left.
            if !transaction.is_autocommit() {
                transaction.execute_batch("ROLLBACK TO task; RELEASE task")?;
            }
            Err(error)
        }
    }
}

/// Messages that waited for the database together.
#[derive(Default)]
struct Group {
    writes: VecDeque<Write>,
    /// Whether one of the writes may use the reserved disk space.
    urgent: bool,
    reads: Vec<Read>,
    /// Callers that wait for the database to close.
    closed: Vec<oneshot::Sender<()>>,
}

impl Group {
    /// `first` and the messages behind it, up to one that closes the database.
    fn gather(first: Message, messages: &mut mpsc::Receiver<Message>) -> Self {
        let mut group = Self::default();
        group.add(first);
        group.add_waiting(messages, MAX_GROUP);
        group
    }

    /// Adds the messages that wait, until there are `limit` tasks.
    fn add_waiting(&mut self, messages: &mut mpsc::Receiver<Message>, limit: usize) {
        while self.writes.len() + self.reads.len() < limit
            && self.closed.is_empty()
            && let Ok(message) = messages.try_recv()
        {
            self.add(message);
        }
    }

    fn add(&mut self, message: Message) {
        match message {
            Message::Write(task) => self.writes.push_back(task),
            Message::Urgent(task) => {
                self.writes.push_back(task);
                self.urgent = true;
            }
            Message::Read(task) => self.reads.push(task),
            Message::Close(closed) => self.closed.push(closed),
        }
    }

    fn refuse(&mut self, reason: &NotBegun) {
        for write in self.writes.drain(..) {
            write(Err(reason));
        }
    }

    fn read(&mut self, connection: &Connection) {
        for task in self.reads.drain(..) {
            task(connection);
        }
    }
}

/// Runs until the last handle is dropped or the database is closed; returns the callers that wait
/// for that.
pub(super) fn own(
    mut database: Database,
    mut messages: mpsc::Receiver<Message>,
    mut reserve: Reserve,
) -> Vec<oneshot::Sender<()>> {
    let mut closed = Vec::new();
    while closed.is_empty()
        && let Some(first) = messages.blocking_recv()
    {
        let mut group = Group::gather(first, &mut messages);
        // Also before reads, which a trainer without work does all the time.
        let checked = database.check();
        let connection = &database.connection;
        match checked {
            Ok(()) => {
                let disk = write_all(connection, &mut group, &mut messages);
                if disk == Disk::Full && group.urgent {
                    reserve.release();
                }
            }
            Err(loss) => group.refuse(&NotBegun::Lost(loss)),
        }
        group.read(connection);
        closed = group.closed;
    }
    // Merges the write-ahead log into the database file.
    if let Err(error) = database.connection.close() {
        tracing::warn!(error = %error.1, "the job database was not closed cleanly");
    }
    closed
}

/// The state of the disk after a transaction.
#[derive(PartialEq, Eq)]
enum Disk {
    HasRoom,
    Full,
}

/// Carries out the writes of a group, and those that came while it waited for the write lock, in
/// one transaction, or in several where SQLite rolls one back half-way.
fn write_all(
    connection: &Connection,
    group: &mut Group,
    messages: &mut mpsc::Receiver<Message>,
) -> Disk {
    let mut disk = Disk::HasRoom;
    while !group.writes.is_empty() {
        let transaction = match begin(connection, group, messages) {
            Ok(transaction) => transaction,
            Err(reason) => {
                if let NotBegun::Failed(error) = &reason {
                    tracing::error!(%error, "the job database cannot begin a transaction");
                }
                group.refuse(&reason);
                return disk;
            }
        };
        let (answers, committed) = commit(transaction, &mut group.writes);
        if let Err(error) = &committed {
            tracing::error!(%error, "the job database cannot commit");
            if is_full(error) {
                disk = Disk::Full;
            }
        }
        for answer in answers {
            answer(committed.clone());
        }
    }
    disk
}

/// Takes the write lock, for which it waits a while. Meanwhile reads are answered and the group
/// grows.
///
/// Immediate, because a transaction that has begun to read fails at once when it comes to write
/// under another program's lock.
fn begin<'connection>(
    connection: &'connection Connection,
    group: &mut Group,
    messages: &mut mpsc::Receiver<Message>,
) -> Result<Transaction<'connection>, NotBegun> {
    let failed = |error| NotBegun::Failed(Arc::new(error));
    let since = Instant::now();
    loop {
        connection.busy_timeout(LOCK_POLL).map_err(failed)?;
        let begun = Transaction::new_unchecked(connection, TransactionBehavior::Immediate);
        connection.busy_timeout(MAX_LOCK_WAIT).map_err(failed)?;
        match begun {
            Err(error) if is_locked(&error) => {}
            begun => return begun.map_err(failed),
        }
        if since.elapsed() >= MAX_LOCK_WAIT {
            tracing::warn!(
                seconds = since.elapsed().as_secs_f64(),
                "another program holds the write lock of the job database: nothing can be written until it releases it"
            );
            return Err(NotBegun::Locked);
        }
        group.add_waiting(messages, MAX_WAITING);
        group.read(connection);
    }
}

/// Carries out writes up to the first at which SQLite rolls the transaction back, and commits.
fn commit(
    transaction: Transaction<'_>,
    writes: &mut VecDeque<Write>,
) -> (Vec<Answer>, Result<(), Arc<rusqlite::Error>>) {
    let mut answers = Vec::new();
    while let Some(write) = writes.pop_front() {
        let Some(written) = write(Ok(&transaction)) else {
            continue;
        };
        answers.push(written.answer);
        if let Some(error) = written.undone {
            return (answers, Err(error));
        }
    }
    (answers, transaction.commit().map_err(Arc::new))
}
