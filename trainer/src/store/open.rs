//! Opens the database at the start: refuses a file that cannot be the database that was there, and
//! leaves it as it is.

use super::{
    error::StoreError,
    files::{self, DATABASE},
    schema,
};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::{fs, path::Path};

/// Databases up to this size are checked as a whole, which takes half a second at most.
const CHECKED_BYTES: u64 = 128 << 20;

/// Opens the database in `folder`; creates it in a folder that has none.
///
/// # Errors
/// [`StoreError::Unusable`] where the file is damaged, empty or missing beside the bundles of jobs.
pub(super) fn open(folder: &Path) -> Result<Connection, StoreError> {
    let path = folder.join(DATABASE);
    let unusable = |reason: String| StoreError::Unusable {
        path: path.display().to_string(),
        reason,
    };
    let recovered = files::recover_copy(folder);
    let recovered = recovered
        .map_err(|error| unusable(format!("is missing, and its copy cannot be used: {error}")))?;
    if recovered {
        tracing::warn!(database = %path.display(), "the job database was missing: its copy is used");
    }
    let bundles = folder.join("bundles");
    match fs::metadata(&path) {
        // SQLite would make a new database of it.
        Ok(found) if found.len() == 0 && bundles.exists() => {
            return Err(unusable("is empty".to_owned()));
        }
        Err(_) if fs::read_dir(&bundles).is_ok_and(|mut files| files.next().is_some()) => {
            return Err(unusable(
                "is missing, although there are resume bundles of its jobs".to_owned(),
            ));
        }
        _ => {}
    }
    let opened = Connection::open(&path)
        .map_err(StoreError::from)
        .and_then(|connection| {
            schema::prepare(&connection)?;
            Ok(connection)
        });
    let connection = match opened {
        Err(StoreError::Sqlite(error)) if is_damage(&error) => {
            return Err(unusable(format!("cannot be read: {error}")));
        }
        opened => opened?,
    };
    if fs::metadata(&path).is_ok_and(|found| found.len() <= CHECKED_BYTES) {
        let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        match checked {
            Ok(found) if found == "ok" => {}
            Ok(found) => {
                let found: String = found;
                return Err(unusable(format!("is damaged: {found}")));
            }
            Err(error) if is_damage(&error) => {
                return Err(unusable(format!("is damaged: {error}")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(connection)
}

/// Opens the database in `folder`, which has one: where it was removed meanwhile, none is created.
///
/// # Errors
/// When there is no database, or it cannot be opened.
pub(super) fn reopen(folder: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::default().difference(OpenFlags::SQLITE_OPEN_CREATE);
    let connection = Connection::open_with_flags(folder.join(DATABASE), flags)?;
    schema::prepare(&connection)?;
    Ok(connection)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
    )
}
