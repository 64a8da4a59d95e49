//! An entry of the journal: a line of JSON, then the changes as they are.

use crate::storage::StorageError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Format of the entries, the epoch records and the layout.
pub(super) const FORMAT: u32 = 1;

/// Place of an entry: numbers start anew, from 1, in each epoch. Number 0 is before the first entry.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Position {
    /// The epoch, from 1.
    pub epoch: u64,
    /// The number within it.
    pub number: u64,
}

impl Position {
    /// The place after it, in the same epoch.
    #[must_use]
    pub fn next(self) -> Self {
        Self {
            number: self.number + 1,
            ..self
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.epoch, self.number)
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum EntryKind {
    /// The first entry of an epoch, which continues from `base`. The first epoch of all has no base
    /// but the snapshot at its own number 0.
    Opening {
        /// Last entry before the seal of the epoch that it continues.
        base: Option<Position>,
    },
    /// Changes of the database.
    Changes,
    /// Shows that the writer lives, or takes the place of an entry of which it is unknown whether it
    /// was stored.
    Heartbeat,
    /// The writer has stopped in an orderly way.
    Closed,
    /// Ends the epoch: written by the process that takes over, or by its own writer that begins the
    /// next epoch.
    Seal,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) header: Header,
    /// Empty for all but changes.
    pub(super) changes: Bytes,
}

/// The first line of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
    /// Nonce of the process that wrote it.
    pub(super) writer: String,
    pub(super) at: Position,
    #[serde(flatten)]
    pub(super) kind: EntryKind,
}

impl Entry {
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = serde_json::to_vec(&self.header).expect("a header is plain data");
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.changes);
        bytes.into()
    }

    /// The entry in `bytes`, which were read from `key` for this place.
    pub(super) fn decode(key: &str, at: Position, bytes: &Bytes) -> Result<Self, StorageError> {
        let unreadable = |reason: String| StorageError::Unreadable {
            key: key.to_owned(),
            reason,
        };
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or_else(|| unreadable("it has no header".to_owned()))?;
        let header: Header = serde_json::from_slice(&bytes[..end])
            .map_err(|error| unreadable(format!("its header: {error}")))?;
        if header.format != FORMAT || header.at != at {
            return Err(unreadable(format!(
                "it has format {} and place {}, where {FORMAT} and {at} are expected",
                header.format, header.at
            )));
        }
        Ok(Self {
            header,
            changes: bytes.slice(end + 1..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_only_at_its_place() {
        let at = Position {
            epoch: 3,
            number: 7,
        };
        for (kind, changes, text) in [
            (
                EntryKind::Changes,
                &b"a\nb"[..],
                "{\"format\":1,\"writer\":\"w\",\"at\":{\"epoch\":3,\"number\":7},\"kind\":\"changes\"}\na\nb",
            ),
            (
                EntryKind::Opening { base: Some(at) },
                b"",
                "{\"format\":1,\"writer\":\"w\",\"at\":{\"epoch\":3,\"number\":7},\"kind\":\"opening\",\"base\":{\"epoch\":3,\"number\":7}}\n",
            ),
        ] {
            let entry = Entry {
                header: Header {
                    format: FORMAT,
                    writer: "w".to_owned(),
                    at,
                    kind,
                },
                changes: Bytes::from_static(changes),
            };
            let bytes = entry.encode();
            assert_eq!(bytes, text);
            assert_eq!(Entry::decode("k", at, &bytes).expect("an entry"), entry);
            assert!(Entry::decode("k", at.next(), &bytes).is_err());
        }
        let newer = Bytes::from_static(
            b"{\"format\":2,\"writer\":\"w\",\"at\":{\"epoch\":3,\"number\":7},\"kind\":\"seal\"}\n",
        );
        assert!(Entry::decode("k", at, &newer).is_err());
    }
}
