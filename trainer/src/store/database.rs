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
            Loss::Removed | Loss::LogRemoved => {
                // A new file also where only the log is gone: SQLite shares the index of the log
                // between a process's connections to one file, and the connection that has
                // everything stays open until another one has.
                self.files.write_copy(&self.connection)?;
                self.files.install_copy()?;
                let connection = open::reopen(self.files.folder())?;
                self.files.opened();
                let again = self.files.loss();
                anyhow::ensure!(again.is_none(), "its files changed meanwhile: {again:?}");
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

#[cfg(test)]
mod tests {
    use super::{super::files::DATABASE, *};
    use std::fs;

    const FILES: [&str; 3] = [DATABASE, "jobs.sqlite3-wal", "jobs.sqlite3-shm"];

    /// A database with one entry.
    fn database(folder: &Path) -> Database {
        let database = Database::open(folder, watch::Sender::default()).expect("opened");
        let entry = "CREATE TABLE entries (name TEXT); INSERT INTO entries VALUES ('kept')";
        database.connection.execute_batch(entry).expect("written");
        database
    }

    fn remove(folder: &Path, files: &[&str]) {
        for file in files {
            fs::remove_file(folder.join(file)).expect("removed");
        }
    }

    fn entry(connection: &Connection) -> String {
        let found = connection.query_row("SELECT name FROM entries", [], |row| row.get(0));
        found.expect("an entry")
    }

    #[test]
    fn a_database_that_goes_with_its_log_is_not_created_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut database = database(folder.path());
        // Its file was there when it was looked for, and the log was not, a moment later.
        remove(folder.path(), &FILES);
        assert!(database.repair(Loss::LogRemoved).expect("repaired"));
        assert_eq!(entry(&database.connection), "kept");
        database.check().expect("nothing is missing");
        drop(database);
        let opened = open::open(folder.path()).expect("opened");
        assert_eq!(entry(&opened), "kept");
    }

    #[test]
    fn files_that_go_before_they_were_looked_at_are_missed() {
        for (files, loss) in [
            (&FILES[..1], Loss::Removed),
            (&FILES[1..2], Loss::LogRemoved),
            (&FILES[2..], Loss::LogRemoved),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut database = database(folder.path());
            remove(folder.path(), files);
            database.files = Files::opened_in(folder.path());
            assert_eq!(database.files.loss(), Some(loss));
            database.check().expect("repaired");
            assert_eq!(entry(&database.connection), "kept");
            assert_eq!(database.files.loss(), None);
        }
    }

    #[test]
    fn a_database_that_is_gone_is_not_created_by_a_repair() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(open::reopen(folder.path()).is_err());
        assert!(!folder.path().join(DATABASE).exists());
    }
}
