//! The job database as a replica: entries of the journal are applied to it, each together with its
//! place.

use super::{
    changes::Changes,
    tables::{POSITION, Table},
};
use crate::store::{
    error::{StoreError, corrupt},
    schema,
};
use bytes::Bytes;
use digits_checkpoint::journal::{Position, Replica, TrainerName};
use rusqlite::{
    Connection, OptionalExtension as _, Transaction, TransactionBehavior, backup::Backup, params,
};
use std::{fs, path::Path, time::Duration};

/// Pages of a snapshot that are copied at a time.
const PAGES: i32 = 1024;

/// The job database while the journal is read.
pub(super) struct DatabaseReplica<'a> {
    connection: &'a mut Connection,
    /// State folder, for a snapshot on its way.
    folder: &'a Path,
    trainer: &'a TrainerName,
    position: Option<Position>,
    /// Entries that were read.
    pub(super) read: u64,
    /// Whether a snapshot was restored.
    pub(super) restored: bool,
}

impl<'a> DatabaseReplica<'a> {
    /// # Errors
    /// Where the database belongs to no journal or to another one, and has jobs.
    pub(super) fn new(
        connection: &'a mut Connection,
        folder: &'a Path,
        trainer: &'a TrainerName,
    ) -> Result<Self, StoreError> {
        let refuse = |reason: String| {
            let path = folder.display().to_string();
            Err(StoreError::Folder { path, reason })
        };
        let position = match place(connection)? {
            None => None,
            Some(place) if place.trainer != trainer.to_string() => {
                return refuse(format!(
                    "is that of trainer {}, not of {trainer}: choose another folder with --state",
                    place.trainer
                ));
            }
            Some(place) if place.detached => {
                return refuse(format!(
                    "was used without --journal, so the journal of trainer {trainer} lacks its changes: choose another --trainer-name to begin a journal with them, or an empty folder with --state to go on without them"
                ));
            }
            Some(place) => Some(place.position),
        };
        Ok(Self {
            connection,
            folder,
            trainer,
            position,
            read: 0,
            restored: false,
        })
    }

    /// Whether it has jobs, and no entry of a journal yet: at most it was to begin one, in this
    /// epoch.
    pub(super) fn is_foreign(&self) -> Result<bool, StoreError> {
        let in_journal = self.position.is_some_and(|at| at.number > 0);
        Ok(!in_journal && has_jobs(self.connection)?)
    }

    /// The epoch in which it was to begin a journal, where it has read nothing of that since.
    pub(super) fn began(&self) -> Option<u64> {
        let at = self.position.filter(|at| at.number == 0);
        at.map(|at| at.epoch)
    }

    /// The error of one that is foreign, where there is a journal.
    pub(super) fn foreign(&self) -> StoreError {
        StoreError::Folder {
            path: self.folder.display().to_string(),
            reason: format!(
                "has jobs that the journal of trainer {} does not have: choose another --trainer-name for them, or an empty folder with --state",
                self.trainer
            ),
        }
    }

    fn set_place(&self, at: Position) -> Result<(), StoreError> {
        set_place(self.connection, self.trainer, at)
    }
}

impl Replica for DatabaseReplica<'_> {
    type Error = StoreError;

    fn position(&self) -> Option<Position> {
        self.position
    }

    fn apply(&mut self, at: Position, changes: &Bytes) -> Result<(), StoreError> {
        apply(
            self.connection,
            self.trainer,
            at,
            &Changes::decode(changes)?,
        )?;
        self.position = Some(at);
        self.read += 1;
        Ok(())
    }

    fn pass(&mut self, at: Position) {
        // Not written: whoever reads on from the place before passes it again.
        self.position = Some(at);
        self.read += 1;
    }

    fn restore(&mut self, at: Position, snapshot: Bytes) -> Result<(), StoreError> {
        if !self.restored && self.is_foreign()? {
            return Err(self.foreign());
        }
        let file = self.folder.join("snapshot.part");
        let failed = |error: std::io::Error| StoreError::Folder {
            path: file.display().to_string(),
            reason: format!("cannot be written: {error}"),
        };
        fs::write(&file, &snapshot).map_err(failed)?;
        let source = Connection::open(&file)?;
        Backup::new(&source, self.connection)?.run_to_completion(PAGES, Duration::ZERO, None)?;
        drop(source);
        fs::remove_file(&file).map_err(failed)?;
        // The snapshot of a journal's beginning does not have its own place.
        self.set_place(at)?;
        self.position = Some(at);
        self.restored = true;
        Ok(())
    }

    fn begin(&mut self, at: Position) -> Result<Bytes, StoreError> {
        self.set_place(at)?;
        self.position = Some(at);
        let (_, snapshot) = copy(self.connection, &self.folder.join("snapshot.part"))?;
        Ok(snapshot)
    }
}

/// The database in one piece, and its place.
pub(super) fn copy(connection: &Connection, file: &Path) -> Result<(Position, Bytes), StoreError> {
    let failed = |error: std::io::Error| StoreError::Folder {
        path: file.display().to_string(),
        reason: format!("cannot be used for a snapshot: {error}"),
    };
    if file.exists() {
        fs::remove_file(file).map_err(failed)?;
    }
    connection.execute("VACUUM INTO ?1", [&*file.to_string_lossy()])?;
    // Of the copy, because the database goes on.
    let found = place(&Connection::open(file)?)?;
    let found = found.ok_or_else(|| corrupt("a snapshot of a database without a journal"))?;
    let bytes = fs::read(file).map_err(failed)?;
    fs::remove_file(file).map_err(failed)?;
    Ok((found.position, bytes.into()))
}

/// Applies changes and their place in one transaction.
pub(super) fn apply(
    connection: &Connection,
    trainer: &TrainerName,
    at: Position,
    changes: &Changes,
) -> Result<(), StoreError> {
    schema::migrate(connection, changes.schema())?;
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    changes.apply(&transaction)?;
    set_place(&transaction, trainer, at)?;
    Ok(transaction.commit()?)
}

/// Names of the tables in which changes are noted, with the tables brought to this version.
pub(super) fn prepare(connection: &Connection) -> Result<Vec<Table>, StoreError> {
    schema::migrate(connection, schema::VERSION)?;
    super::tables::tables(connection)
}

/// Records the place of the last entry, which may have no changes. All before are applied.
pub(super) fn note(
    connection: &Connection,
    trainer: &TrainerName,
    last: Position,
) -> Result<(), StoreError> {
    set_place(connection, trainer, last)
}

struct Place {
    trainer: String,
    position: Position,
    detached: bool,
}

fn place(connection: &Connection) -> Result<Option<Place>, StoreError> {
    let query = format!("SELECT trainer, epoch, number, detached FROM {POSITION}");
    let found = connection.query_row(&query, [], |row| {
        Ok(Place {
            trainer: row.get(0)?,
            position: Position {
                epoch: row.get(1)?,
                number: row.get(2)?,
            },
            detached: row.get(3)?,
        })
    });
    Ok(found.optional()?)
}

fn set_place(
    connection: &Connection,
    trainer: &TrainerName,
    at: Position,
) -> Result<(), StoreError> {
    let statement = format!(
        "INSERT OR REPLACE INTO {POSITION} (one, trainer, epoch, number) VALUES (1, ?1, ?2, ?3)"
    );
    connection.prepare_cached(&statement)?.execute(params![
        trainer.to_string(),
        at.epoch,
        at.number
    ])?;
    Ok(())
}

fn has_jobs(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM jobs)", [], |row| row.get(0))?)
}

/// Records that the database is used without its journal, which lacks its changes from now on.
pub(in crate::store) fn detach(connection: &Connection) -> Result<(), StoreError> {
    let statement =
        format!("UPDATE {POSITION} SET detached = 1 WHERE detached = 0 RETURNING trainer");
    let trainer: Option<String> = connection
        .query_row(&statement, [], |row| row.get(0))
        .optional()?;
    if let Some(trainer) = trainer {
        tracing::warn!(
            trainer,
            "the job database had a journal and is used without it from now on: the journal lacks what follows"
        );
    }
    Ok(())
}
