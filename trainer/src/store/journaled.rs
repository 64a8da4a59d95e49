//! Writes of a group with a journal: carried out, undone, stored in the journal, and then applied.
//! Reads are answered while the storage is waited for.

use super::{
    error::{StoreError, is_full},
    group::{Answer, Group, Message},
    journal::{Next, Recorder},
    not_written::NotWritten,
    transaction::{Disk, begin, run},
};
use rusqlite::Connection;
use std::{pin::pin, sync::Arc, time::Instant};
use tokio::{runtime::Handle, sync::mpsc, time::timeout_at};

/// The next messages; meanwhile the journal is kept alive. `None` when there are no callers any more.
pub(super) fn next(
    connection: &Connection,
    messages: &mut mpsc::Receiver<Message>,
    recorder: &mut Recorder,
) -> Option<Group> {
    let runtime = recorder.runtime().clone();
    loop {
        match runtime.block_on(recorder.next(messages)) {
            Next::Message(None) => return None,
            Next::Message(Some(first)) => return Some(Group::gather(first, messages)),
            Next::Beat => {
                let mut group = Group::default();
                while_reading(&runtime, connection, &mut group, messages, recorder.beat());
                // On failure the next write tries again.
                let _ = recorder.apply(connection);
                recorder.snapshot(connection);
                if !group.writes.is_empty() || !group.closed.is_empty() {
                    return Some(group);
                }
            }
        }
    }
}

/// Carries out the writes of a group, and those that come meanwhile.
pub(super) fn write_all(
    connection: &Connection,
    group: &mut Group,
    messages: &mut mpsc::Receiver<Message>,
    recorder: &mut Recorder,
) -> Disk {
    let mut disk = Disk::HasRoom;
    while !group.writes.is_empty() {
        let written = write_some(connection, group, messages, recorder);
        if let Err(NotWritten::Failed(error)) = &written {
            tracing::error!(%error, "the job database cannot write");
            if is_full(error) {
                disk = Disk::Full;
            }
        }
    }
    disk
}

/// Carries out what waits now. On an error everything that waits is answered with it.
fn write_some(
    connection: &Connection,
    group: &mut Group,
    messages: &mut mpsc::Receiver<Message>,
    recorder: &mut Recorder,
) -> Result<(), NotWritten> {
    let carried_out = carry_out(connection, group, messages, recorder);
    let Done { answers, stored } = carried_out.inspect_err(|reason| group.refuse(reason))?;
    if stored.is_err() && recorder.is_undecided() {
        recorder.hold(answers);
    } else {
        for answer in answers {
            answer(stored.as_ref().copied());
        }
    }
    let runtime = recorder.runtime().clone();
    while_reading(&runtime, connection, group, messages, recorder.maintain());
    recorder.snapshot(connection);
    stored
}

/// Writes that were carried out, and whether their changes are stored.
struct Done {
    answers: Vec<Answer>,
    stored: Result<(), NotWritten>,
}

fn carry_out(
    connection: &Connection,
    group: &mut Group,
    messages: &mut mpsc::Receiver<Message>,
    recorder: &mut Recorder,
) -> Result<Done, NotWritten> {
    let runtime = recorder.runtime().clone();
    gather(&runtime, connection, group, messages, recorder.lazy_until());
    while_reading(&runtime, connection, group, messages, recorder.settle())?;
    recorder.apply(connection)?;
    recorder.watch(connection).map_err(failed)?;
    let transaction = begin(connection, group, messages)?;
    group.awaited = false;
    let (answers, ran) = run(&transaction, &mut group.writes);
    let changes = ran.and_then(|()| recorder.collect(&transaction).map_err(failed));
    // Its changes are applied once the journal has them.
    let undone = transaction.rollback();
    let undone = undone.map_err(|error| NotWritten::Failed(Arc::new(error)));
    let stored = match changes.and_then(|changes| undone.map(|()| changes)) {
        Ok(changes) if changes.is_empty() => Ok(()),
        Ok(changes) => {
            let appending = recorder.append(changes);
            let appended = while_reading(&runtime, connection, group, messages, appending);
            appended.and_then(|()| recorder.apply(connection))
        }
        Err(reason) => Err(reason),
    };
    Ok(Done { answers, stored })
}

fn failed(error: StoreError) -> NotWritten {
    match error {
        StoreError::Sqlite(error) => NotWritten::Failed(Arc::new(error)),
        error => NotWritten::NotJournaled(error.to_string().into()),
    }
}

/// Lets the group grow until `until`, or until somebody waits for one of its writes.
fn gather(
    runtime: &Handle,
    connection: &Connection,
    group: &mut Group,
    messages: &mut mpsc::Receiver<Message>,
    until: Instant,
) {
    group.read(connection);
    runtime.block_on(async {
        while !group.awaited && group.has_room() {
            match timeout_at(until.into(), messages.recv()).await {
                Ok(Some(message)) => group.add(message),
                _ => return,
            }
            group.read(connection);
        }
    });
}

/// Waits for the storage. Meanwhile reads are answered and the group grows.
fn while_reading<T>(
    runtime: &Handle,
    connection: &Connection,
    group: &mut Group,
    messages: &mut mpsc::Receiver<Message>,
    waiting: impl Future<Output = T>,
) -> T {
    group.read(connection);
    runtime.block_on(async {
        let mut waiting = pin!(waiting);
        loop {
            tokio::select! {
                done = &mut waiting => return done,
                Some(message) = messages.recv(), if group.has_room() => {
                    group.add(message);
                    group.read(connection);
                }
            }
        }
    })
}
