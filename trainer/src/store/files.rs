//! The files of the open database: notices that another program removed or replaced them, and
//! writes a copy from the open ones, which still have everything.

use rusqlite::Connection;
use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Name of the database in the state folder.
pub(super) const DATABASE: &str = "jobs.sqlite3";
/// Complete copy of a database whose file was removed or replaced.
const COPY: &str = "jobs.sqlite3.copy";
/// Copy that is being written.
const UNFINISHED: &str = "jobs.sqlite3.part";
/// A database that is taken out of its place, because a copy replaces it.
const AWAY: &str = "jobs.sqlite3.away";
/// Suffixes of the write-ahead log and its index.
const LOGS: [&str; 2] = ["-wal", "-shm"];

/// What became of the files of the open database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// There is no database file any more.
    Removed,
    /// The file has another one in its place, or its write-ahead log has.
    Replaced,
    /// The write-ahead log is gone, the database is there.
    LogRemoved,
}

/// Device and inode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

/// The files as they were when the database was opened.
pub(super) struct Files {
    folder: PathBuf,
    database: Option<Identity>,
    logs: [Option<Identity>; 2],
}

impl Files {
    /// The files of the database that was just opened in `folder`.
    pub(super) fn opened_in(folder: &Path) -> Self {
        let database = folder.join(DATABASE);
        Self {
            database: identity(&database),
            logs: logs(&database),
            folder: folder.to_owned(),
        }
    }

    /// The folder of the database.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Path of the database.
    pub(super) fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    /// Path of the copy.
    pub(super) fn copy(&self) -> PathBuf {
        self.folder.join(COPY)
    }

    /// What became of the files since they were opened. Costs a stat(2) for each of the three.
    pub(super) fn loss(&self) -> Option<Loss> {
        let path = self.database();
        let database = identity(&path);
        if database.is_none() {
            return Some(Loss::Removed);
        }
        if database != self.database {
            return Some(Loss::Replaced);
        }
        let mut loss = None;
        for (suffix, opened) in LOGS.iter().zip(self.logs) {
            let found = identity(&with_suffix(&path, suffix));
            match (found, opened) {
                (Some(found), Some(opened)) if found == opened => {}
                (Some(_), Some(_)) => return Some(Loss::Replaced),
                // Removed now, or before its identity was read.
                (None, _) | (_, None) => loss = Some(Loss::LogRemoved),
            }
        }
        loss
    }

    /// Writes a durable copy of everything that was committed, beside the database.
    pub(super) fn write_copy(&self, connection: &Connection) -> Result<(), CopyError> {
        let part = self.folder.join(UNFINISHED);
        remove(&part)?;
        let target = part.to_string_lossy();
        connection.execute("VACUUM INTO ?1", [&*target])?;
        // SQLite does not sync it.
        File::open(&part)?.sync_all()?;
        fs::rename(&part, self.copy())?;
        self.sync_folder()?;
        Ok(())
    }

    /// Puts the copy in the place of the database, which is the one that was opened or is gone. A
    /// file that another program puts there first stays.
    pub(super) fn install_copy(&mut self) -> io::Result<()> {
        self.take_away()?;
        let installed = identity(&self.copy());
        install_copy(&self.folder)?;
        self.database = installed;
        self.logs = [None; 2];
        self.sync_folder()
    }

    /// The database that was installed was opened.
    pub(super) fn opened(&mut self) {
        self.logs = logs(&self.database());
    }

    /// Takes the database out of its place, if it is still the one that was opened.
    fn take_away(&self) -> io::Result<()> {
        let (database, away) = (self.database(), self.folder.join(AWAY));
        match fs::rename(&database, &away) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        if identity(&away) != self.database {
            fs::rename(&away, &database)?;
            return Err(io::Error::other("another program has replaced it"));
        }
        fs::remove_file(away)
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

fn install_copy(folder: &Path) -> io::Result<()> {
    let (database, copy) = (folder.join(DATABASE), folder.join(COPY));
    for suffix in LOGS {
        // Of the old database: SQLite would apply it to the copy.
        remove(&with_suffix(&database, suffix))?;
    }
    // Fails where there is a file, which a rename would replace.
    fs::hard_link(&copy, &database)?;
    fs::remove_file(&copy)
}

/// Completes what a crash interrupted: uses the copy in `folder` for a database that is not there,
/// and returns whether it did.
pub(super) fn recover_copy(folder: &Path) -> io::Result<bool> {
    let (database, copy) = (identity(&folder.join(DATABASE)), folder.join(COPY));
    match identity(&copy) {
        // The crash came before the second name was removed.
        found if found.is_some() && found == database => fs::remove_file(copy).map(|()| false),
        Some(_) if database.is_none() => install_copy(folder).map(|()| true),
        _ => Ok(false),
    }
}

/// Why a copy was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error("SQLite cannot write it: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn logs(database: &Path) -> [Option<Identity>; 2] {
    LOGS.map(|suffix| identity(&with_suffix(database, suffix)))
}

fn identity(path: &Path) -> Option<Identity> {
    let found = fs::metadata(path).ok()?;
    Some(Identity(found.dev(), found.ino()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
