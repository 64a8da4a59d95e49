//! What each client imported within the last 24 hours, for its quotas.

use super::{error::StoreError, handle::Store};
use crate::job::now_us;
use rusqlite::params;

/// The time that counts, in microseconds.
const WINDOW_US: i64 = 24 * 3600 * 1_000_000;

/// Imports of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportUse {
    /// Checkpoints.
    pub imports: u64,
    /// Bytes of all files, also of those that became no checkpoint.
    pub bytes: u64,
}

impl Store {
    /// What `client` imported within the last 24 hours.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn imported_by(&self, client: String) -> Result<ImportUse, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT coalesce(sum(imports), 0), coalesce(sum(bytes), 0) FROM imports
                 WHERE client = ?1 AND at_us > ?2",
            )?;
            let since = now_us() - WINDOW_US;
            Ok(statement.query_row(params![client, since], |row| {
                Ok(ImportUse {
                    imports: row.get(0)?,
                    bytes: row.get(1)?,
                })
            })?)
        })
        .await
    }

    /// Adds to what `client` imported, and forgets what does not count any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_import(&self, client: String, new: ImportUse) -> Result<(), StoreError> {
        self.write(move |transaction| {
            let now = now_us();
            transaction
                .prepare_cached("DELETE FROM imports WHERE at_us <= ?1")?
                .execute(params![now - WINDOW_US])?;
            transaction
                .prepare_cached(
                    "INSERT INTO imports (client, at_us, imports, bytes) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![client, now, new.imports, new.bytes])?;
            Ok(())
        })
        .await
    }
}
