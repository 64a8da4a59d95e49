//! Appends the changes of the job database to its journal, and remembers what the database lacks.

use super::{
    changes::Changes,
    replica,
    settings::{JournalSettings, JournalState},
    snapshots::Snapshots,
    tables::{self, Table},
};
use crate::store::{
    error::StoreError,
    group::{Answer, Message},
    not_written::NotWritten,
};
use digits_checkpoint::journal::{AppendError, Position, Settled, Writer};
use rusqlite::Connection;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::mpsc, time::timeout};

/// Time for which a request waits for the storage: a third of the lease within these bounds, so
/// that one that hangs is repeated before the lease is over.
const MIN_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Pause between two attempts to find out what became of changes.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Time for which the end of the process waits for it.
const MAX_CLOSE_WAIT: Duration = Duration::from_secs(3);
/// Time that changes which nobody waits for are apart: each entry costs a request.
const LAZY_PAUSE: Duration = Duration::from_millis(100);

/// What the thread of the database does next.
pub(in crate::store) enum Next {
    /// Carries out a message; `None` when there are no callers any more.
    Message(Option<Message>),
    /// Shows that it lives.
    Beat,
}

/// The end of the journal, of which this process is the writer.
pub(in crate::store) struct Recorder {
    settings: JournalSettings,
    /// `None` once another process has taken over.
    writer: Option<Writer>,
    tables: Vec<Table>,
    snapshots: Snapshots,
    /// Changes that the journal has and the database has not.
    behind: Option<(Position, Changes)>,
    /// Whether it is unknown if the last changes are stored.
    undecided: bool,
    /// Answers of writes whose changes are undecided or behind: a caller that tries again must know
    /// that nothing of the first attempt will appear.
    held: Vec<Answer>,
    since_snapshot: u64,
    last_entry: Instant,
    /// Whether the last request to the storage failed.
    failing: bool,
}

impl Recorder {
    pub(super) fn new(
        settings: JournalSettings,
        writer: Writer,
        tables: Vec<Table>,
        snapshots: Snapshots,
        since_snapshot: u64,
    ) -> Self {
        Self {
            settings,
            writer: Some(writer),
            tables,
            snapshots,
            behind: None,
            undecided: false,
            held: Vec::new(),
            since_snapshot,
            last_entry: Instant::now(),
            failing: false,
        }
    }

    pub(in crate::store) fn runtime(&self) -> &Handle {
        &self.settings.runtime
    }

    /// Waits for a message, or until it is time for a [beat](Self::beat).
    pub(in crate::store) async fn next(&mut self, messages: &mut mpsc::Receiver<Message>) -> Next {
        if self.writer.is_none() {
            return Next::Message(messages.recv().await);
        }
        let interval = match self.failing || !self.held.is_empty() {
            true => RETRY_PAUSE.min(self.settings.lease / 3),
            false => self.settings.lease / 3,
        };
        let pause = interval.saturating_sub(self.last_entry.elapsed());
        tokio::select! {
            biased;
            // Noticed by a write to the rest of the storage.
            () = self.settings.fence.lost().cancelled() => {}
            () = tokio::time::sleep(pause) => return Next::Beat,
            message = messages.recv() => return Next::Message(message),
        }
        self.replaced();
        Next::Message(messages.recv().await)
    }

    /// Until when changes that nobody waits for are gathered.
    pub(in crate::store) fn lazy_until(&self) -> Instant {
        self.last_entry + LAZY_PAUSE
    }

    /// Keeps the journal alive.
    pub(in crate::store) async fn beat(&mut self) {
        // Failures are logged where they are noticed.
        if self.settle().await.is_ok() && self.last_entry.elapsed() >= self.settings.lease / 3 {
            let beat = async |writer: &mut Writer| writer.beat().await.map(drop);
            drop(self.request(beat).await);
        }
        self.last_entry = Instant::now();
        self.maintain().await;
    }

    /// Determines whether the append that failed last was stored.
    pub(in crate::store) async fn settle(&mut self) -> Result<(), NotWritten> {
        if self.writer.as_ref().is_some_and(Writer::is_settled) {
            return Ok(());
        }
        let mut stored = None;
        let settling = self.request(async |writer| {
            stored = Some(writer.settle().await?);
            Ok(())
        });
        settling.await?;
        if let Some(Settled::Stored { at, changes }) = stored {
            let changes = Changes::decode(&changes);
            let changes = changes.map_err(|error| not_journaled(&error))?;
            self.behind = Some((at, changes));
        } else if self.undecided {
            self.answer_held(Err(&NotWritten::NotJournaled(
                "the storage did not take the changes".into(),
            )));
        }
        self.undecided = false;
        Ok(())
    }

    /// Whether it is not decided yet what becomes of the last changes.
    pub(in crate::store) fn is_undecided(&self) -> bool {
        self.undecided || self.behind.is_some()
    }

    /// Answers once that is decided.
    pub(in crate::store) fn hold(&mut self, answers: Vec<Answer>) {
        self.held.extend(answers);
    }

    fn answer_held(&mut self, result: Result<(), &NotWritten>) {
        for answer in self.held.drain(..) {
            answer(result);
        }
    }

    /// Applies what the database lacks.
    pub(in crate::store) fn apply(&mut self, connection: &Connection) -> Result<(), NotWritten> {
        let Some((at, changes)) = &self.behind else {
            return Ok(());
        };
        let name = self.settings.journal.name();
        replica::apply(connection, name, *at, changes).map_err(|error| match error {
            StoreError::Sqlite(error) => NotWritten::Failed(Arc::new(error)),
            error => not_journaled(&error),
        })?;
        self.behind = None;
        self.answer_held(Ok(()));
        Ok(())
    }

    /// Has the changes of the next transaction noted.
    pub(in crate::store) fn watch(&self, connection: &Connection) -> Result<(), StoreError> {
        tables::watch(connection, &self.tables)?;
        tables::forget(connection)
    }

    /// The changes of the transaction.
    pub(in crate::store) fn collect(&self, connection: &Connection) -> Result<Changes, StoreError> {
        Changes::collect(connection, &self.tables)
    }

    /// Stores changes, which are then to be [applied](Self::apply).
    pub(in crate::store) async fn append(&mut self, changes: Changes) -> Result<(), NotWritten> {
        let bytes = changes.encode();
        let mut stored = None;
        self.undecided = true;
        let appending = self.request(async |writer| {
            stored = Some(writer.append(bytes).await?);
            Ok(())
        });
        appending.await?;
        self.undecided = false;
        self.behind = stored.map(|at| (at, changes));
        Ok(())
    }

    /// Begins an epoch, where it is time.
    pub(in crate::store) async fn maintain(&mut self) {
        let Some(writer) = &self.writer else { return };
        if writer.position().number >= self.settings.limits.epoch_entries && !self.failing {
            // On failure the next entry goes on with it.
            drop(self.request(async |writer| writer.roll().await).await);
        }
    }

    /// Begins a snapshot, where it is time. Its place is after the last entry of any kind, so that
    /// signs of life are not read again, and can be deleted.
    pub(in crate::store) fn snapshot(&mut self, connection: &Connection) {
        let is_due = self.since_snapshot >= self.settings.limits.snapshot_entries;
        let Some(writer) = self.writer.as_ref().filter(|writer| writer.is_settled()) else {
            return;
        };
        if !is_due || self.behind.is_some() {
            return;
        }
        let noted = replica::note(connection, self.settings.journal.name(), writer.position());
        // Without room on the disk there is none for a snapshot either: the next entry tries again.
        if noted.is_ok() && self.snapshots.take() {
            self.since_snapshot = 0;
        }
    }

    /// Says that the process ends.
    pub(in crate::store) fn close(self) {
        let Some(writer) = self.writer.filter(|_| !self.failing) else {
            return;
        };
        let closing = async { timeout(MAX_CLOSE_WAIT, writer.close()).await };
        match self.settings.runtime.block_on(closing) {
            Ok(Ok(())) => {}
            failed => tracing::warn!(
                ?failed,
                "the journal does not have the end of this process: on another node the next one waits for the time of --journal-lease"
            ),
        }
    }

    async fn request(
        &mut self,
        request: impl AsyncFnOnce(&mut Writer) -> Result<(), AppendError>,
    ) -> Result<(), NotWritten> {
        let Some(writer) = &mut self.writer else {
            return Err(NotWritten::Replaced);
        };
        let limit = (self.settings.lease / 3).clamp(MIN_WAIT, MAX_WAIT);
        let error = match timeout(limit, request(writer)).await {
            Ok(Ok(())) => {
                self.since_snapshot += 1;
                self.settings.fence.open(writer.position().epoch);
                self.last_entry = Instant::now();
                if std::mem::take(&mut self.failing) {
                    self.settings.state.send_replace(JournalState::Held);
                    tracing::info!("the journal of the job database is written again");
                }
                return Ok(());
            }
            Ok(Err(AppendError::Fenced)) => {
                self.replaced();
                return Err(NotWritten::Replaced);
            }
            Ok(Err(AppendError::Storage(error))) => error.to_string(),
            Err(_) => format!("no answer within {} s", limit.as_secs_f32()),
        };
        if !self.failing {
            tracing::warn!(
                error,
                "the journal of the job database cannot be written: nothing is accepted until it can"
            );
        }
        self.failing = true;
        let state = JournalState::Unwritable(error.clone());
        self.settings.state.send_replace(state);
        Err(NotWritten::NotJournaled(error.into()))
    }

    fn replaced(&mut self) {
        self.writer = None;
        self.undecided = false;
        self.answer_held(Err(&NotWritten::Replaced));
        let reason = "another process has taken the place of this trainer";
        tracing::error!("{reason}: it stops");
        let failed = JournalState::Failed(reason.to_owned());
        self.settings.state.send_replace(failed);
        self.settings.fence.set_lost();
    }
}

fn not_journaled(error: &StoreError) -> NotWritten {
    NotWritten::NotJournaled(error.to_string().into())
}
