//! What callers send to the thread that owns the database: closures, gathered in groups of which the
//! writes share a transaction.

use super::{error::StoreError, not_written::NotWritten};
use rusqlite::{Connection, Transaction};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::{mpsc, oneshot};

/// Closures that share one transaction.
const MAX_GROUP: usize = 64;
/// Closures that wait together; further ones stay in the channel.
pub(super) const MAX_WAITING: usize = 256;

/// Answers a write that was carried out, once it is durable or is not.
pub(super) type Answer = Box<dyn FnOnce(Result<(), &NotWritten>) + Send>;
/// Carries out a write, or answers it with the reason why it is not.
pub(super) type Write =
    Box<dyn FnOnce(Result<&Transaction<'_>, &NotWritten>) -> Option<Written> + Send>;
pub(super) type Read = Box<dyn FnOnce(&Connection) + Send>;

/// A write that was carried out, before its commit.
pub(super) struct Written {
    pub(super) answer: Answer,
    /// Why SQLite rolled back the whole transaction, which it may do when the disk is full or
    /// fails.
    pub(super) undone: Option<Arc<rusqlite::Error>>,
}

/// A message to the thread.
pub(super) enum Message {
    /// Carried out in a transaction.
    Write(Write),
    /// As [`Write`](Self::Write), and nobody waits for it: with a journal it may wait for others.
    Lazy(Write),
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
                Err(reason) => Err(reason.into()),
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
pub(super) struct Group {
    pub(super) writes: VecDeque<Write>,
    /// Whether somebody waits for one of the writes.
    pub(super) awaited: bool,
    /// Whether one of the writes may use the reserved disk space.
    pub(super) urgent: bool,
    reads: Vec<Read>,
    /// Callers that wait for the database to close.
    pub(super) closed: Vec<oneshot::Sender<()>>,
}

impl Group {
    /// `first` and the messages behind it, up to one that closes the database.
    pub(super) fn gather(first: Message, messages: &mut mpsc::Receiver<Message>) -> Self {
        let mut group = Self::default();
        group.add(first);
        group.add_waiting(messages, MAX_GROUP);
        group
    }

    /// Adds the messages that wait, until there are `limit` tasks.
    pub(super) fn add_waiting(&mut self, messages: &mut mpsc::Receiver<Message>, limit: usize) {
        while self.writes.len() + self.reads.len() < limit
            && self.closed.is_empty()
            && let Ok(message) = messages.try_recv()
        {
            self.add(message);
        }
    }

    /// Whether it takes further messages, while its writes wait.
    pub(super) fn has_room(&self) -> bool {
        self.writes.len() + self.reads.len() < MAX_WAITING && self.closed.is_empty()
    }

    pub(super) fn add(&mut self, message: Message) {
        match message {
            Message::Write(task) => {
                self.writes.push_back(task);
                self.awaited = true;
            }
            Message::Lazy(task) => self.writes.push_back(task),
            Message::Urgent(task) => {
                self.writes.push_back(task);
                self.awaited = true;
                self.urgent = true;
            }
            Message::Read(task) => self.reads.push(task),
            Message::Close(closed) => self.closed.push(closed),
        }
    }

    pub(super) fn refuse(&mut self, reason: &NotWritten) {
        for write in self.writes.drain(..) {
            write(Err(reason));
        }
    }

    pub(super) fn read(&mut self, connection: &Connection) {
        for task in self.reads.drain(..) {
            task(connection);
        }
    }
}
