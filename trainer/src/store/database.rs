//! The open database: takes the write lock, and repairs the loss of its files where that is
//! possible.

use super::{
    error::StoreError,
    files::{Files, Loss},
    open,
};
use rusqlite::{Connection, config::DbConfig};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Pause between two attempts to repair a loss.
const REPAIR_PAUSE: Duration = Duration::from_secs(5);

/// What became of the files of the database, for readiness and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseState {
    /// Set while nothing can be written because of it.
    pub loss: Option<Loss>,
    /// Number of losses that were repaired since the start of the process.
    pub repairs: u64,
}

/// The connection and the files that it opened.
pub(super) struct Database {
    pub(super) connection: Connection,
    files: Files,
    state: watch::Sender<DatabaseState>,
    /// When a repair was last tried.
    tried: Option<Instant>,
    /// Everything is in a copy, as nothing can be written since.
    copied: bool,
}

impl Database {
    pub(super) fn open(
        folder: &Path,
        state: watch::Sender<DatabaseState>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            connection: open::open(folder)?,
            files: Files::opened_in(folder),
            state,
            tried: None,
            copied: false,
        })
    }

    /// The state folder.
    pub(super) fn folder(&self) -> &Path {
        self.files.folder()
    }

    /// Checks that the files are the ones that were opened, and repairs a loss.
    ///
    /// # Errors
    /// The loss that could not be repaired: what is written now would vanish with the process.
    pub(super) fn check(&mut self) -> Result<(), Loss> {
        let Some(loss) = self.files.loss() else {
            if self.state.borrow().loss.is_some() {
                tracing::warn!("the job database is back in its place: jobs are accepted again");
                self.set_loss(None);
            }
            return Ok(());
        };
        let is_new = self.state.borrow().loss != Some(loss);
        if is_new {
            self.copied = false;
        } else if self
            .tried
            .is_some_and(|tried| tried.elapsed() < REPAIR_PAUSE)
        {
            return Err(loss);
        }
        let repaired = self.repair(loss);
        self.tried = Some(Instant::now());
        match repaired {
            Ok(true) => {
                tracing::error!(
                    database = %self.files.database().display(), ?loss,
                    "another program removed the file of the job database while it was in use: it was written again, and nothing was lost"
                );
                self.state.send_modify(|state| state.repairs += 1);
                self.set_loss(None);
                Ok(())
            }
            Ok(false) => {
                if is_new {
                    tracing::error!(
                        database = %self.files.database().display(),
                        copy = %self.files.copy().display(),
                        "another program replaced the file of the job database while it was in use: nothing is accepted until the trainer is restarted. The restart uses the file that is there now; to continue with the trainer's own data, which is in the copy, stop the trainer, remove the database with its -wal and -shm files and rename the copy"
                    );
                }
                self.set_loss(Some(loss));
                Err(loss)
            }
            Err(error) => {
                if is_new {
                    tracing::error!(
                        database = %self.files.database().display(), ?loss, %error,
                        "another program removed or replaced the file of the job database while it was in use, and it cannot be written again yet: nothing is accepted until it can; its data is lost when the trainer ends"
                    );
                }
                self.set_loss(Some(loss));
                Err(loss)
            }
        }
    }

    /// Whether the database is in its place again, with everything that was committed; a database
    /// that another program put there is left alone.
    fn repair(&mut self, loss: Loss) -> anyhow::Result<bool> {
        match loss {
            Loss::LogRemoved => {
                // Moves everything into the database itself.
                let busy: bool =
                    self.connection
                        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
                anyhow::ensure!(!busy, "another program reads the database");
                // Closed first: SQLite shares the index of the log between the connections of a
                // process, and with them the file that is gone.
                self.connection = Connection::open_in_memory()?;
                self.connection = open::open(self.files.folder())?;
            }
            Loss::Removed => {
                self.files.write_copy(&self.connection)?;
                self.files.install_copy()?;
                let connection = open::open(self.files.folder())?;
                // Else its end would delete the log of the new connection, by name.
                self.connection
                    .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
                self.connection = connection;
            }
            Loss::Replaced => {
                if !self.copied {
                    self.files.write_copy(&self.connection)?;
                    self.copied = true;
                }
                return Ok(false);
            }
        }
        self.files = Files::opened_in(self.files.folder());
        Ok(true)
    }

    fn set_loss(&self, loss: Option<Loss>) {
        self.state.send_if_modified(|state| {
            let is_new = state.loss != loss;
            state.loss = loss;
            is_new
        });
    }
}
