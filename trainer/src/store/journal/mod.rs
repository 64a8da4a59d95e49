//! The job database with a journal on the storage: a change is stored there before it is committed
//! here, so that the trainer comes up on another node with everything that it accepted.
//!
//! The thread that owns the database carries a group of writes out, keeps what they changed
//! ([`changes`]), undoes it, appends it to the journal ([`recorder`]) and then applies it, as a
//! trainer does that reads the journal ([`replica`]). So the database never has a change that the
//! journal does not have. Who may write is decided by [`digits_checkpoint::journal`]; [`lease`]
//! waits until the last writer has fallen silent.

mod changes;
mod lease;
mod recorder;
mod replica;
mod settings;
mod snapshots;
mod tables;

pub(super) use lease::acquire;
pub(super) use recorder::{Next, Recorder};
pub(super) use replica::detach;
pub use settings::{JournalLimits, JournalSettings, JournalState, Takeover};
