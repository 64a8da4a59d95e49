//! The changes of a transaction as rows: what was written, and what was deleted. They are applied in
//! the same way by the process that made them and by those that read the journal.

use super::tables::{Table, touched};
use crate::store::{
    error::{StoreError, corrupt},
    schema,
};
use bytes::Bytes;
use ciborium::Value as Cbor;
use rusqlite::{
    Connection, OptionalExtension as _, Row, params_from_iter,
    types::{Value, ValueRef},
};
use serde::{Deserialize, Serialize};

/// The changes of one transaction.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::store) struct Changes {
    /// Version of the tables.
    schema: usize,
    rows: Vec<ChangedRow>,
}

/// A row as it is after the transaction.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ChangedRow {
    table: String,
    columns: Vec<String>,
    /// Values of the columns; `None` for a deleted row, of which the columns are the key's.
    values: Option<Vec<Cbor>>,
    key: Vec<Cbor>,
}

impl Changes {
    /// What the open transaction has changed.
    pub(super) fn collect(connection: &Connection, tables: &[Table]) -> Result<Self, StoreError> {
        let mut rows = Vec::new();
        for touched in touched(connection)? {
            let table = tables.iter().find(|it| it.name == touched.table);
            let table = table.ok_or_else(|| corrupt(format!("a table {}", touched.table)))?;
            let found = connection
                .prepare_cached(&select(table))?
                .query_row(params_from_iter(&touched.key), |row| {
                    Ok(values(row, table.columns.len()))
                })
                .optional()?
                .transpose()?;
            rows.push(ChangedRow {
                table: table.name.clone(),
                columns: match found {
                    Some(_) => table.columns.clone(),
                    None => table.key.clone(),
                },
                values: found,
                key: touched.key.into_iter().map(from_key).collect(),
            });
        }
        Ok(Self {
            schema: schema::VERSION,
            rows,
        })
    }

    pub(in crate::store) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).expect("a vector takes everything");
        bytes.into()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let changes: Self = ciborium::from_reader(bytes).map_err(corrupt)?;
        if changes.schema > schema::VERSION {
            return Err(corrupt(format!(
                "a journal entry of version {} is newer than this program: use the newer program",
                changes.schema
            )));
        }
        Ok(changes)
    }

    /// Version of the tables at the time of the changes.
    pub(super) fn schema(&self) -> usize {
        self.schema
    }

    /// Applies the changes in the open transaction, which is checked as a whole when it commits.
    pub(super) fn apply(&self, connection: &Connection) -> Result<(), StoreError> {
        connection.pragma_update(None, "defer_foreign_keys", true)?;
        for row in &self.rows {
            let (statement, values) = match &row.values {
                Some(values) => (row.replace(), values),
                None => (row.delete(), &row.key),
            };
            let values: Result<Vec<Value>, StoreError> = values.iter().map(to_sqlite).collect();
            connection
                .prepare_cached(&statement)?
                .execute(params_from_iter(values?))?;
        }
        Ok(())
    }
}

impl ChangedRow {
    fn replace(&self) -> String {
        let places = vec!["?"; self.columns.len()].join(", ");
        format!(
            "INSERT OR REPLACE INTO {} ({}) VALUES ({places})",
            quoted(&self.table),
            list(&self.columns)
        )
    }

    fn delete(&self) -> String {
        format!(
            "DELETE FROM {} WHERE {}",
            quoted(&self.table),
            equal(&self.columns)
        )
    }
}

fn select(table: &Table) -> String {
    format!(
        "SELECT {} FROM {} WHERE {}",
        list(&table.columns),
        quoted(&table.name),
        equal(&table.key)
    )
}

fn list(columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|it| quoted(it)).collect();
    columns.join(", ")
}

fn equal(key: &[String]) -> String {
    let terms: Vec<String> = key.iter().map(|it| format!("{} = ?", quoted(it))).collect();
    terms.join(" AND ")
}

/// A name from a file, which is not trusted to be one.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn values(row: &Row<'_>, columns: usize) -> Result<Vec<Cbor>, StoreError> {
    let values = (0..columns).map(|index| Ok(to_cbor(row.get_ref(index)?)));
    values
        .collect::<Result<_, rusqlite::Error>>()
        .map_err(Into::into)
}

fn to_cbor(value: ValueRef<'_>) -> Cbor {
    match value {
        ValueRef::Null => Cbor::Null,
        ValueRef::Integer(number) => Cbor::Integer(number.into()),
        ValueRef::Real(number) => Cbor::Float(number),
        ValueRef::Text(text) => Cbor::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cbor::Bytes(bytes.to_vec()),
    }
}

fn from_key(value: Value) -> Cbor {
    to_cbor(ValueRef::from(&value))
}

fn to_sqlite(value: &Cbor) -> Result<Value, StoreError> {
    Ok(match value {
        Cbor::Null => Value::Null,
        Cbor::Integer(number) => Value::Integer((*number).try_into().map_err(corrupt)?),
        Cbor::Float(number) => Value::Real(*number),
        Cbor::Text(text) => Value::Text(text.clone()),
        Cbor::Bytes(bytes) => Value::Blob(bytes.clone()),
        other => return Err(corrupt(format!("a value {other:?}"))),
    })
}
