//! The handle of the job database: sends closures to the thread that owns it.

use super::{
    database::{Database, DatabaseState},
    error::StoreError,
    group::{Message, Waiting, read, write},
    journal::{self, JournalSettings, JournalState},
    lock,
    owner::own,
    reserve::Reserve,
    signals::Signals,
};
use digits_telemetry::supervisor::{Supervisor, Task};
use rusqlite::{Connection, Transaction};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

/// Time for which a client waits for the journal.
const MAX_CLIENT_WAIT: Duration = Duration::from_secs(5);
/// Closures that may wait for the database.
const MAX_PENDING: usize = 256;

/// Handle of the database; cheap to clone. The database closes when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    tasks: mpsc::Sender<Message>,
    signals: Arc<Signals>,
    state: watch::Receiver<DatabaseState>,
    journal: Option<watch::Receiver<JournalState>>,
}

impl Store {
    /// Opens the database in `folder`, which is made when it is not there, and takes it for this
    /// process alone. A panic of the owning thread fails liveness: it is unknown what was
    /// committed, and every later call fails with [`StoreError::Closed`].
    ///
    /// # Errors
    /// [`StoreError::Folder`] where the folder is used by another trainer or lies on a network file
    /// system; [`StoreError::Unusable`] where the file of the database is damaged.
    pub fn open(folder: &Path, supervisor: &Supervisor) -> Result<Self, StoreError> {
        Self::start(folder, supervisor, None)
    }

    /// The same with a journal. Until it is taken over, which the journal's state shows, writes fail.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_journaled(
        folder: &Path,
        supervisor: &Supervisor,
        journal: JournalSettings,
    ) -> Result<Self, StoreError> {
        Self::start(folder, supervisor, Some(journal))
    }

    fn start(
        folder: &Path,
        supervisor: &Supervisor,
        journal: Option<JournalSettings>,
    ) -> Result<Self, StoreError> {
        let lock = lock::take(folder)?;
        let (publisher, state) = watch::channel(DatabaseState::default());
        let database = Database::open(folder, publisher)?;
        if journal.is_none() {
            journal::detach(&database.connection)?;
        }
        let held = journal.as_ref().map(|it| it.state.subscribe());
        let reserve = Reserve::take(folder);
        let (tasks, receiver) = mpsc::channel(MAX_PENDING);
        supervisor
            .watch_thread(Task::new("store"), move || {
                let waiting = own(database, receiver, reserve, journal);
                drop(lock);
                for closed in waiting {
                    // The caller may be gone.
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
            state,
            journal: held,
        })
    }

    /// Notifies watchers of jobs with new events.
    #[must_use]
    pub fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    /// What became of the files of the database. Closed when the database is.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<DatabaseState> {
        self.state.clone()
    }

    /// What becomes of the journal, where there is one.
    #[must_use]
    pub fn journal(&self) -> Option<watch::Receiver<JournalState>> {
        self.journal.clone()
    }

    /// Closes the database for every handle, after what waits there was carried out; the folder is
    /// free when it returns. Without it the database closes when the last handle is dropped.
    pub async fn close(&self) {
        let (sender, closed) = oneshot::channel();
        // Closed already: then there is nothing to wait for.
        if self.tasks.send(Message::Close(sender)).await.is_ok() {
            let _ = closed.await;
        }
    }

    /// Carries out `work` on the owning thread and waits for the commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (task, answer) = write(work);
        self.send(Message::Write(task), answer).await
    }

    /// [`Store::write`] of something small that must not fail for want of disk space: a further
    /// attempt may use the reserved space.
    pub(super) async fn write_urgent<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (task, answer) = write(work);
        self.send(Message::Urgent(task), answer).await
    }

    /// Waits for a write that a client asked for. With a journal on a storage that fails, the answer
    /// may be that it is unknown whether it is stored: a client waits for a while only, and may ask
    /// for the same again.
    pub(crate) async fn for_client<T>(
        &self,
        writing: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if self.journal.is_none() {
            return writing.await;
        }
        let unknown = |_| StoreError::NotJournaled("the storage does not answer".into());
        timeout(MAX_CLIENT_WAIT, writing)
            .await
            .map_err(unknown)
            .flatten()
    }

    /// [`Store::write`] of something that nobody waits for.
    pub(super) async fn write_lazily<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (task, answer) = write(work);
        self.send(Message::Lazy(task), answer).await
    }

    /// Carries out `work`, which only reads, on the owning thread.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (message, answer) = read(work);
        self.send(message, answer).await
    }

    /// [`Store::write`] for threads without a runtime.
    pub(super) fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (task, answer) = write(work);
        self.send_blocking(Message::Write(task), answer)
    }

    /// [`Store::write_urgent`] for threads without a runtime.
    pub(super) fn write_urgent_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (task, answer) = write(work);
        self.send_blocking(Message::Urgent(task), answer)
    }

    /// [`Store::read`] for tests.
    #[cfg(test)]
    pub(super) fn read_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (message, answer) = read(work);
        self.send_blocking(message, answer)
    }

    async fn send<T>(&self, message: Message, answer: Waiting<T>) -> Result<T, StoreError> {
        self.tasks
            .send(message)
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    fn send_blocking<T>(&self, message: Message, answer: Waiting<T>) -> Result<T, StoreError> {
        self.tasks
            .blocking_send(message)
            .map_err(|_| StoreError::Closed)?;
        answer.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }
}

#[cfg(test)]
mod tests;
