//! Appends the changes of the job database to its journal, and remembers what the database lacks.

use super::{
    changes::Changes,
    replica,
    settings::{JournalSettings, JournalState},
    snapshots::Snapshots,
    tables::{self, Table},
};
use crate::store::{error::StoreError, group::Message, not_written::NotWritten};
use digits_checkpoint::journal::{AppendError, Position, Settled, Writer};
use rusqlite::Connection;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::mpsc, time::timeout};

/// Time for which a write waits for the storage.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Time for which the end of the process waits for it.
const MAX_CLOSE_WAIT: Duration = Duration::from_secs(3);
/// Time that changes which nobody waits for are apart: each entry costs a request.
const LAZY_PAUSE: Duration = Duration::from_millis(100);

/// The end of the journal, of which this process is the writer.
pub(in crate::store) struct Recorder {
    settings: JournalSettings,
    /// `None` once another process has taken over.
    writer: Option<Writer>,
    tables: Vec<Table>,
    snapshots: Snapshots,
    /// Changes that the journal has and the database has not.
    behind: Option<(Position, Changes)>,
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
            since_snapshot,
            last_entry: Instant::now(),
            failing: false,
        }
    }

    pub(in crate::store) fn runtime(&self) -> &Handle {
        &self.settings.runtime
    }

    /// The next message; meanwhile the journal is kept alive.
    pub(in crate::store) fn next(
        &mut self,
        messages: &mut mpsc::Receiver<Message>,
    ) -> Option<Message> {
        let runtime = self.settings.runtime.clone();
        let lost = self.settings.fence.lost().clone();
        runtime.block_on(async {
            loop {
                if self.writer.is_none() {
                    return messages.recv().await;
                }
                let pause = (self.settings.lease / 3).saturating_sub(self.last_entry.elapsed());
                tokio::select! {
                    biased;
                    message = messages.recv() => return message,
                    // Noticed by a write to the rest of the storage.
                    () = lost.cancelled() => self.replaced(),
                    () = tokio::time::sleep(pause) => self.beat().await,
                }
            }
        })
    }

    /// Until when changes that nobody waits for are gathered.
    pub(in crate::store) fn lazy_until(&self) -> Instant {
        self.last_entry + LAZY_PAUSE
    }

    async fn beat(&mut self) {
        // Settling is a sign of life as well.
        let beaten = match self.settle().await {
            Ok(()) if self.last_entry.elapsed() >= self.settings.lease / 3 => {
                self.request(async |writer| writer.beat().await.map(drop))
                    .await
            }
            settled => settled,
        };
        // Logged where it was noticed.
        drop(beaten);
        self.last_entry = Instant::now();
        self.maintain().await;
    }

    /// Finds out what became of the entry of which it is unknown.
    pub(in crate::store) async fn settle(&mut self) -> Result<(), NotWritten> {
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
        }
        Ok(())
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
        let appending = self.request(async |writer| {
            stored = Some(writer.append(bytes).await?);
            Ok(())
        });
        appending.await?;
        self.behind = stored.map(|at| (at, changes));
        self.since_snapshot += 1;
        Ok(())
    }

    /// Takes a snapshot or begins an epoch, where it is time.
    pub(in crate::store) async fn maintain(&mut self) {
        let limits = self.settings.limits;
        let Some(writer) = &self.writer else { return };
        if writer.position().number >= limits.epoch_entries && !self.failing {
            // On failure the next entry goes on with it.
            drop(self.request(async |writer| writer.roll().await).await);
        }
        if self.since_snapshot >= limits.snapshot_entries && self.snapshots.take() {
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
        let error = match timeout(MAX_WAIT, request(writer)).await {
            Ok(Ok(())) => {
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
            Err(_) => format!("no answer within {} s", MAX_WAIT.as_secs()),
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
