//! The journal of a trainer's database, `trainer/<name>/`: by it the trainer comes up elsewhere when
//! the disk of its node is lost.
//!
//! Every change is stored as an entry before it takes effect, at the next number of the current
//! **epoch**. An epoch belongs to one process. [`take_over`] wins the next epoch, reads what is
//! there, and **seals** the epoch before it by creating the entry at that epoch's next number, so
//! that its writer loses this number and stops. No clock and no listing decides anything: each step
//! is a create-if-absent, and the numbers alone give the order.
//!
//! Epochs are never deleted, nor are the seals: a writer that was stopped for however long finds its
//! next number taken. [`Journal::prune`] deletes entries that a snapshot contains, and leaves the
//! last one of each epoch. `docs/adr/0026-journal.md` has the reasons; the model checker
//! (`tests/protocol/checker/journal`) runs these functions.
//!
//! The content of changes and snapshots is opaque here.

mod entry;
mod fence;
mod observer;
mod prune;
mod store;
mod takeover;
mod writer;

pub use crate::trainer_name::{InvalidName, TrainerName};
pub use entry::{EntryKind, Position};
pub use fence::Fence;
pub use observer::{Observer, Sight};
pub use store::{EpochRecord, Identity, Journal};
pub use takeover::{Replica, TakeOverError, take_over};
pub use writer::{AppendError, Settled, Writer};
