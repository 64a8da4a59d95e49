//! The thread that owns the database. Queued writes share a transaction, each in its own savepoint;
//! reads follow it, and are not affected when it fails.

use super::{
    error::{StoreError, is_full},
    reserve::Reserve,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Closures that share one transaction.
const MAX_GROUP: usize = 64;

pub(super) type Answer = Box<dyn FnOnce(Result<(), Arc<rusqlite::Error>>) + Send>;
pub(super) type Write = Box<dyn FnOnce(&Transaction<'_>) -> Written + Send>;
pub(super) type Read = Box<dyn FnOnce(&Connection) + Send>;

/// A write that was carried out, before its commit.
pub(super) struct Written {
    answer: Answer,
    /// Why SQLite rolled back the whole transaction, which it may do when the disk is full or
    /// fails.
    undone: Option<Arc<rusqlite::Error>>,
}

/// A message to the thread.
pub(super) enum Message {
    /// Carried out in a transaction.
    Write(Write),
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
) -> (Message, Waiting<T>) {
    let (reply, answer) = oneshot::channel();
    let task: Write = Box::new(move |transaction| {
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
            // Fails when the caller is gone.
            drop(reply.send(result));
        });
        Written { answer, undone }
    });
    (Message::Write(task), answer)
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
    writes: Vec<Write>,
    reads: Vec<Read>,
    /// Callers that wait for the database to close.
    closed: Vec<oneshot::Sender<()>>,
}

impl Group {
    /// `first` and the messages behind it, up to one that closes the database.
    fn gather(first: Message, messages: &mut mpsc::Receiver<Message>) -> Self {
        let mut group = Self::default();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Write(task) => group.writes.push(task),
                Message::Read(task) => group.reads.push(task),
                Message::Close(closed) => group.closed.push(closed),
            }
            let tasks = group.writes.len() + group.reads.len();
            next = (tasks < MAX_GROUP && group.closed.is_empty())
                .then(|| messages.try_recv().ok())
                .flatten();
        }
        group
    }
}

/// Runs until the last handle is dropped or the database is closed; returns the callers that wait
/// for that.
pub(super) fn own(
    mut connection: Connection,
    mut messages: mpsc::Receiver<Message>,
    mut reserve: Reserve,
) -> Vec<oneshot::Sender<()>> {
    let mut closed = Vec::new();
    while closed.is_empty()
        && let Some(first) = messages.blocking_recv()
    {
        let group = Group::gather(first, &mut messages);
        if !group.writes.is_empty() && carry_out(&mut connection, group.writes) == Disk::Full {
            reserve.release();
        }
        for task in group.reads {
            task(&connection);
        }
        closed = group.closed;
    }
    // Merges the write-ahead log into the database file.
    if let Err(error) = connection.close() {
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

/// Carries out writes in one transaction, or in several where SQLite rolls one back half-way.
fn carry_out(connection: &mut Connection, group: Vec<Write>) -> Disk {
    let mut disk = Disk::HasRoom;
    let mut rest = group.into_iter();
    while !rest.as_slice().is_empty() {
        let begun = connection.transaction_with_behavior(TransactionBehavior::Deferred);
        let transaction = match begun {
            Ok(transaction) => transaction,
            Err(error) => {
                // The tasks are dropped, and with them the reply channels: callers see `Closed`.
                tracing::error!(%error, "the job database cannot begin a transaction");
                return disk;
            }
        };
        let (answers, committed) = commit(transaction, &mut rest);
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

/// Carries out writes up to the first at which SQLite rolls the transaction back, and commits.
fn commit(
    transaction: Transaction<'_>,
    writes: &mut impl Iterator<Item = Write>,
) -> (Vec<Answer>, Result<(), Arc<rusqlite::Error>>) {
    let mut answers = Vec::new();
    for write in writes {
        let written = write(&transaction);
        answers.push(written.answer);
        if let Some(error) = written.undone {
            return (answers, Err(error));
        }
    }
    (answers, transaction.commit().map_err(Arc::new))
}
