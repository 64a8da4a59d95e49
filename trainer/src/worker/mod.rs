//! Carries jobs out, each on a thread that owns all tensors of its job; there are as many as jobs may run at a time.
//!
//! A worker takes the oldest job that waits, loads its data set, trains it from its resume bundle where there is one,
//! and writes its end. Curves, checkpoints and bundles leave through three more threads per job, in order and
//! bounded, so that neither the disk nor the storage holds the training back until they are far behind.

mod attempt;
mod bundles;
mod durable;
mod intentions;
mod keeper;
mod observer;
mod parent;
mod pool;
mod publisher;
mod recovery;
mod running;

pub use bundles::{Bundles, Found};
pub use pool::{Tools, Wake, Workers};
pub use recovery::{finish_intentions, note_bundles, sweep_bundles};
pub use running::{Registry, RunningJob, Stop};
