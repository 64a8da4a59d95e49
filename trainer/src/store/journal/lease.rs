//! Waits until the journal may be taken over, and takes it over.

use super::{
    recorder::Recorder,
    replica::{self, DatabaseReplica},
    settings::{JournalSettings, JournalState, Takeover},
    snapshots::Snapshots,
};
use crate::store::{
    database::Database,
    error::StoreError,
    group::{Group, Message},
    not_written::NotWritten,
};
use digits_checkpoint::{
    StorageError,
    journal::{Observer, Sight, TakeOverError, Writer, take_over},
};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Pause between two looks at the journal.
const POLL: Duration = Duration::from_secs(1);
/// Longest pause after takeovers that failed, each of which has claimed an epoch.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Entries of one start, at most, before a snapshot: each start is a new epoch, of which the entries
/// stay until snapshots contain them.
const EPOCHS_BETWEEN_SNAPSHOTS: u64 = 8;

/// Takes the journal over when it may be. Meanwhile reads are answered and writes refused.
///
/// # Errors
/// The callers that wait for the database to close.
pub(in crate::store) fn acquire(
    database: &mut Database,
    messages: &mut mpsc::Receiver<Message>,
    settings: JournalSettings,
) -> Result<Recorder, Vec<oneshot::Sender<()>>> {
    let (mut watch, mut failures) = (Watch::new(&settings), 0);
    loop {
        let failed = match settings.runtime.block_on(watch.may_take_over(&settings)) {
            Ok(true) => match take(database, &settings) {
                Ok(taken) => return Ok(begin(database, settings, taken)),
                Err(TakeOverError::Lost) => None,
                Err(TakeOverError::Storage(error)) if may_pass(&error) => {
                    failures += 1;
                    Some(JournalState::Unreachable(error.to_string()))
                }
                Err(error) => {
                    // The process ends.
                    failures = u32::MAX;
                    Some(JournalState::Failed(error.to_string()))
                }
            },
            Ok(false) => None,
            Err(error) if may_pass(&error) => Some(JournalState::Unreachable(error.to_string())),
            Err(error) => Some(JournalState::Failed(error.to_string())),
        };
        if let Some(state) = failed {
            settings.state.send_replace(state);
        }
        let pause = POLL.min(settings.lease / 3) * 2_u32.saturating_pow(failures.min(10));
        serve_reads(database, messages, &settings, pause.min(LONGEST_PAUSE))?;
    }
}

/// Whether the same read or write may succeed later.
fn may_pass(error: &StorageError) -> bool {
    !error.is_final() && !error.is_unreadable()
}

/// What a takeover has left.
struct Taken {
    writer: Writer,
    since_snapshot: u64,
}

fn take(
    database: &mut Database,
    settings: &JournalSettings,
) -> Result<Taken, TakeOverError<StoreError>> {
    let folder = database.folder().to_owned();
    let name = settings.journal.name();
    let replica = DatabaseReplica::new(&mut database.connection, &folder, name);
    let mut replica = replica.map_err(TakeOverError::Replica)?;
    if replica.is_foreign().map_err(TakeOverError::Replica)? {
        // Found out before the process that holds the journal loses its place.
        let began = replica.began();
        if settings.runtime.block_on(has_another(settings, began))? {
            return Err(TakeOverError::Replica(replica.foreign()));
        }
    }
    let taking = take_over(&settings.journal, &settings.identity, &mut replica);
    let writer = settings.runtime.block_on(taking)?;
    tracing::info!(
        trainer = %name,
        epoch = writer.position().epoch,
        entries = replica.read,
        from_snapshot = replica.restored,
        "took over the journal of the job database"
    );
    let since_snapshot = match writer.position().epoch % EPOCHS_BETWEEN_SNAPSHOTS {
        0 => u64::MAX / 2,
        _ => replica.read,
    };
    let noted = replica::note(&database.connection, name, writer.position());
    if let Err(error) = noted {
        // The next change records its own place.
        tracing::debug!(%error, "the place in the journal is not recorded");
    }
    Ok(Taken {
        writer,
        since_snapshot,
    })
}

/// Whether there is a journal that this state folder did not begin, in epoch `began`.
async fn has_another(settings: &JournalSettings, began: Option<u64>) -> Result<bool, StorageError> {
    if let Some(epoch) = began
        && let Some(record) = settings.journal.epoch(epoch).await?
        && record.folder == settings.identity.folder
    {
        return Ok(false);
    }
    settings.journal.has_begun().await
}

fn begin(database: &Database, settings: JournalSettings, taken: Taken) -> Recorder {
    let tables = replica::prepare(&database.connection);
    let tables = tables.unwrap_or_else(|error| {
        // Then every write fails with the same error.
        tracing::error!(%error, "the tables of the job database cannot be read");
        Vec::new()
    });
    settings.fence.open(taken.writer.position().epoch);
    settings.state.send_replace(JournalState::Held);
    let (journal, runtime) = (settings.journal.clone(), settings.runtime.clone());
    let snapshots = Snapshots::new(journal, database.folder(), runtime);
    Recorder::new(
        settings,
        taken.writer,
        tables,
        snapshots,
        taken.since_snapshot,
    )
}

/// Answers reads and refuses writes for the time of `pause`.
fn serve_reads(
    database: &Database,
    messages: &mut mpsc::Receiver<Message>,
    settings: &JournalSettings,
    pause: Duration,
) -> Result<(), Vec<oneshot::Sender<()>>> {
    let until = tokio::time::Instant::now() + pause;
    let refused = NotWritten::NotJournaled("the journal is not taken over yet".into());
    loop {
        let next = async { tokio::time::timeout_at(until, messages.recv()).await };
        match settings.runtime.block_on(next) {
            Err(_) => return Ok(()),
            // No handle is left.
            Ok(None) => return Err(Vec::new()),
            Ok(Some(message)) => {
                let mut group = Group::default();
                group.add(message);
                group.refuse(&refused);
                group.read(&database.connection);
                if !group.closed.is_empty() {
                    return Err(group.closed);
                }
            }
        }
    }
}

/// Finds out whether the last writer is silent.
struct Watch {
    observer: Observer,
    /// Since when it has been seen to write nothing. An outage of the storage is no silence: it
    /// keeps the last writer from writing as well.
    silent: Instant,
}

impl Watch {
    fn new(settings: &JournalSettings) -> Self {
        Self {
            observer: Observer::new(settings.journal.clone()),
            silent: Instant::now(),
        }
    }

    async fn may_take_over(&mut self, settings: &JournalSettings) -> Result<bool, StorageError> {
        if settings.takeover == Takeover::AtOnce {
            return Ok(true);
        }
        let began = Instant::now();
        let seen = self.observer.look().await;
        let stalled = began.elapsed() >= settings.lease;
        if stalled || seen.as_ref().map_or(true, |sight| sight.moved) {
            self.silent = Instant::now();
        }
        let Sight { holder, closed, .. } = seen?;
        let Some(holder) = holder else {
            return Ok(true);
        };
        // A process that used this folder is dead: this one has its lock.
        if closed || holder.folder == settings.identity.folder {
            return Ok(true);
        }
        if self.silent.elapsed() >= settings.lease {
            tracing::warn!(
                host = holder.host,
                seconds = settings.lease.as_secs_f64(),
                "the process that holds the journal has written nothing for the time of --journal-lease: taking over"
            );
            return Ok(true);
        }
        settings.state.send_if_modified(|state| {
            let held = JournalState::HeldBy(holder.host.clone());
            let is_new = *state != held;
            *state = held;
            is_new
        });
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::JournalLimits;
    use digits_checkpoint::{
        Storage,
        journal::{Fence, Identity, Journal},
    };
    use std::fs;
    use tokio::{runtime::Handle, sync::watch};

    fn settings(journal: &Journal, name: &str) -> JournalSettings {
        let identity = Identity {
            nonce: name.to_owned(),
            folder: name.to_owned(),
            host: name.to_owned(),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        JournalSettings {
            journal: journal.clone(),
            fence: Fence::new(journal.clone(), &identity),
            identity,
            takeover: Takeover::WhenSilent,
            lease: Duration::from_secs(60),
            limits: JournalLimits::default(),
            runtime: Handle::current(),
            state: watch::channel(JournalState::Starting).0,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_outage_of_the_storage_is_no_silence_of_the_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = folder.path().join("storage");
        let opened = Storage::open(&storage.display().to_string()).expect("a storage");
        let journal = Journal::new(opened, "t".parse().expect("a name"));
        let first = settings(&journal, "a");
        let state = folder.path().join("a");
        fs::create_dir(&state).expect("a folder");
        let writer = tokio::task::spawn_blocking(move || {
            let (publisher, _) = watch::channel(crate::store::DatabaseState::default());
            let mut database = Database::open(&state, publisher).expect("a database");
            take(&mut database, &first).map(|taken| taken.writer)
        });
        writer.await.expect("no panic").expect("taken over");

        let second = settings(&journal, "b");
        let mut watch = Watch::new(&second);
        assert!(!watch.may_take_over(&second).await.expect("seen"));
        // A minute later, in which the storage was away.
        watch.silent = Instant::now().checked_sub(second.lease).expect("a time");
        let (trainer, away) = (storage.join("trainer"), folder.path().join("away"));
        fs::rename(&trainer, &away).expect("away");
        fs::write(&trainer, b"").expect("a file in its place");
        assert!(watch.may_take_over(&second).await.is_err());
        fs::remove_file(&trainer).expect("removed");
        fs::rename(&away, &trainer).expect("back");
        assert!(!watch.may_take_over(&second).await.expect("seen"));
        // Silent although the storage answers.
        watch.silent = Instant::now().checked_sub(second.lease).expect("a time");
        assert!(watch.may_take_over(&second).await.expect("seen"));
    }
}
