//! The thread that owns the database. Queued writes share a transaction, each in its own savepoint;
//! reads follow it, and are not affected when it fails. While another program holds the write lock,
//! reads are answered and writes wait.

use super::{
    database::Database,
    error::is_full,
    group::{Group, Message},
    journal::{self, JournalSettings},
    journaled,
    not_written::NotWritten,
    reserve::Reserve,
    transaction::{Disk, begin, run},
};
use rusqlite::Connection;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Runs until the last handle is dropped or the database is closed; returns the callers that wait
/// for that.
pub(super) fn own(
    mut database: Database,
    mut messages: mpsc::Receiver<Message>,
    mut reserve: Reserve,
    journal: Option<JournalSettings>,
) -> Vec<oneshot::Sender<()>> {
    let mut closed = Vec::new();
    let mut recorder = None;
    if let Some(settings) = journal {
        match journal::acquire(&mut database, &mut messages, settings) {
            Ok(acquired) => recorder = Some(acquired),
            Err(waiting) => closed = waiting,
        }
    }
    while closed.is_empty() {
        let next = match &mut recorder {
            None => {
                let first = messages.blocking_recv();
                first.map(|first| Group::gather(first, &mut messages))
            }
            Some(recorder) => journaled::next(&database.connection, &mut messages, recorder),
        };
        let Some(mut group) = next else { break };
        // Also before reads, which a trainer without work does all the time.
        let checked = database.check();
        let connection = &database.connection;
        match checked {
            Ok(()) => {
                let disk = match &mut recorder {
                    None => write_all(connection, &mut group, &mut messages),
                    Some(recorder) => {
                        journaled::write_all(connection, &mut group, &mut messages, recorder)
                    }
                };
                if disk == Disk::Full && group.urgent {
                    reserve.release();
                }
            }
            Err(loss) => group.refuse(&NotWritten::Lost(loss)),
        }
        group.read(connection);
        closed = group.closed;
    }
    if let Some(recorder) = recorder {
        recorder.close();
    }
    // Merges the write-ahead log into the database file.
    if let Err(error) = database.connection.close() {
        tracing::warn!(error = %error.1, "the job database was not closed cleanly");
    }
    closed
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
                if let NotWritten::Failed(error) = &reason {
                    tracing::error!(%error, "the job database cannot begin a transaction");
                }
                group.refuse(&reason);
                return disk;
            }
        };
        let (answers, ran) = run(&transaction, &mut group.writes);
        let failed = |error| NotWritten::Failed(Arc::new(error));
        let committed = ran.and_then(|()| transaction.commit().map_err(failed));
        if let Err(NotWritten::Failed(error)) = &committed {
            tracing::error!(%error, "the job database cannot commit");
            if is_full(error) {
                disk = Disk::Full;
            }
        }
        for answer in answers {
            answer(committed.as_ref().copied());
        }
    }
    disk
}
