//! Finds out which rows of the job database a transaction changes, by temporary triggers.

use crate::store::error::{StoreError, corrupt};
use rusqlite::{Connection, types::Value};

/// The table that says how far the journal is; it differs from node to node.
pub(super) const POSITION: &str = "journal";

/// A table of the job database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// All columns; `rowid` first where the table has no primary key.
    pub(super) columns: Vec<String>,
    /// Columns of the primary key, or `rowid`.
    pub(super) key: Vec<String>,
}

/// A row that was changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Touched {
    pub(super) table: String,
    pub(super) key: Vec<Value>,
}

/// The tables of the database.
pub(super) fn tables(connection: &Connection) -> Result<Vec<Table>, StoreError> {
    let mut names = connection.prepare_cached(
        "SELECT name FROM main.sqlite_master
         WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> ?1 ORDER BY name",
    )?;
    let names: Vec<String> = names
        .query_map([POSITION], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    names
        .into_iter()
        .map(|name| table(connection, name))
        .collect()
}

fn table(connection: &Connection, name: String) -> Result<Table, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid")?;
    let found: Vec<(String, i64)> = statement
        .query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut columns: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
    let mut key: Vec<_> = found.into_iter().filter(|(_, place)| *place > 0).collect();
    key.sort_by_key(|(_, place)| *place);
    let mut key: Vec<String> = key.into_iter().map(|(name, _)| name).collect();
    if key.is_empty() {
        columns.insert(0, "rowid".to_owned());
        key.push("rowid".to_owned());
    }
    Ok(Table { name, columns, key })
}

/// Has the connection note the key of each row that changes, outside of transactions. Idempotent.
pub(super) fn watch(connection: &Connection, tables: &[Table]) -> Result<(), StoreError> {
    let is_watched: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM temp.sqlite_master WHERE name = 'touched')")?
        .query_row([], |row| row.get(0))?;
    if is_watched {
        return Ok(());
    }
    let mut script = "CREATE TEMP TABLE touched (name TEXT, key TEXT);".to_owned();
    for Table { name, key, .. } in tables {
        let note = |row: &str| {
            let columns: Vec<String> = key.iter().map(|it| format!("{row}.{it}")).collect();
            let columns = columns.join(", ");
            format!("INSERT INTO touched VALUES ('{name}', json_array({columns}));")
        };
        for (event, notes) in [
            ("INSERT", note("NEW")),
            ("UPDATE", note("OLD") + &note("NEW")),
            ("DELETE", note("OLD")),
        ] {
            script += &format!(
                "CREATE TEMP TRIGGER touched_{name}_{event} AFTER {event} ON main.{name} BEGIN {notes} END;"
            );
        }
    }
    Ok(connection.execute_batch(&script)?)
}

/// Forgets what was noted.
pub(super) fn forget(connection: &Connection) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM temp.touched")?
        .execute([])?;
    Ok(())
}

/// The rows that were changed.
pub(super) fn touched(connection: &Connection) -> Result<Vec<Touched>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, key FROM temp.touched GROUP BY name, key ORDER BY min(rowid)",
    )?;
    let mut rows = statement.query([])?;
    let mut touched = Vec::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get(1)?;
        let key: Vec<serde_json::Value> = serde_json::from_str(&key).map_err(corrupt)?;
        let key: Result<_, _> = key.into_iter().map(value).collect();
        touched.push(Touched {
            table: row.get(0)?,
            key: key?,
        });
    }
    Ok(touched)
}

fn value(json: serde_json::Value) -> Result<Value, StoreError> {
    match json {
        serde_json::Value::String(text) => Ok(Value::Text(text)),
        serde_json::Value::Number(number) if number.is_i64() => {
            Ok(Value::Integer(number.as_i64().unwrap_or_default()))
        }
        other => Err(corrupt(format!("a key with {other}"))),
    }
}
