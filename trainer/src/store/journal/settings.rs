//! What the journal of the job database needs, and what becomes of it.

use digits_checkpoint::journal::{Fence, Identity, Journal};
use std::time::Duration;
use tokio::{runtime::Handle, sync::watch};

/// What the journal needs.
pub struct JournalSettings {
    /// The journal.
    pub journal: Journal,
    /// This process.
    pub identity: Identity,
    /// Opened once the journal is taken over.
    pub fence: Fence,
    /// When it may be taken over from another process.
    pub takeover: Takeover,
    /// Time of silence after which the last writer is presumed dead; three times the interval of its
    /// signs of life.
    pub lease: Duration,
    /// When a snapshot is taken and an epoch begun.
    pub limits: JournalLimits,
    /// Runs the requests to the storage.
    pub runtime: Handle,
    /// Shows what becomes of it.
    pub state: watch::Sender<JournalState>,
}

/// Bounds of what a takeover reads, and of what stays on the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalLimits {
    /// Entries, signs of life among them, after which a snapshot is taken.
    pub snapshot_entries: u64,
    /// Entries after which a new epoch begins, so that those before can be deleted.
    pub epoch_entries: u64,
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self {
            snapshot_entries: 2_000,
            epoch_entries: 10_000,
        }
    }
}

/// When the journal may be taken over from another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// When it has written nothing for the time of the lease, or has stopped in an orderly way.
    WhenSilent,
    /// At once, because an operator says that it is dead.
    AtOnce,
}

/// What becomes of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalState {
    /// Not read yet.
    Starting,
    /// The storage fails.
    Unreachable(String),
    /// Another process holds it: this machine, as that process calls it.
    HeldBy(String),
    /// This process holds it.
    Held,
    /// This process holds it, and cannot write it now.
    Unwritable(String),
    /// It cannot be used.
    Failed(String),
}
