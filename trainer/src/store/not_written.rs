//! Why writes were not carried out or did not become durable.

use super::{error::StoreError, files::Loss};
use std::sync::Arc;

/// Why the writes of a group are not stored.
#[derive(Clone, Debug)]
pub(super) enum NotWritten {
    /// Another program holds the write lock.
    Locked,
    /// The files of the database are gone.
    Lost(Loss),
    /// SQLite failed.
    Failed(Arc<rusqlite::Error>),
    /// The journal on the storage does not take them.
    NotJournaled(Arc<str>),
    /// Another process has taken this trainer's place.
    Replaced,
}

impl From<&NotWritten> for StoreError {
    fn from(reason: &NotWritten) -> Self {
        match reason {
            NotWritten::Locked => Self::Locked,
            NotWritten::Lost(loss) => Self::Lost(*loss),
            NotWritten::Failed(error) => Self::NotCommitted(Arc::clone(error)),
            NotWritten::NotJournaled(reason) => Self::NotJournaled(Arc::clone(reason)),
            NotWritten::Replaced => Self::Replaced,
        }
    }
}
