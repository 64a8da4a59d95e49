//! Begins transactions, and carries out the writes of a group in one.

use super::{
    error::is_locked,
    group::{Answer, Group, MAX_WAITING, Message, Write},
    not_written::NotWritten,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Time for which writes wait for the write lock before they fail.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(5);
/// Time between two rounds of reads while writes wait for the write lock.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// The state of the disk after a transaction.
#[derive(PartialEq, Eq)]
pub(super) enum Disk {
    HasRoom,
    Full,
}

/// Takes the write lock, for which it waits a while. Meanwhile reads are answered and the group
/// grows.
///
/// Immediate, because a transaction that has begun to read fails at once when it comes to write
/// under another program's lock.
pub(super) fn begin<'connection>(
    connection: &'connection Connection,
    group: &mut Group,
    messages: &mut mpsc::Receiver<Message>,
) -> Result<Transaction<'connection>, NotWritten> {
    let failed = |error| NotWritten::Failed(Arc::new(error));
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
            return Err(NotWritten::Locked);
        }
        group.add_waiting(messages, MAX_WAITING);
        group.read(connection);
    }
}

/// Carries out writes up to the first at which SQLite rolls the transaction back; their answers, and
/// why it did.
pub(super) fn run(
    transaction: &Transaction<'_>,
    writes: &mut VecDeque<Write>,
) -> (Vec<Answer>, Result<(), NotWritten>) {
    let mut answers = Vec::new();
    while let Some(write) = writes.pop_front() {
        let Some(written) = write(Ok(transaction)) else {
            continue;
        };
        answers.push(written.answer);
        if let Some(error) = written.undone {
            return (answers, Err(NotWritten::Failed(error)));
        }
    }
    (answers, Ok(()))
}
