//! Runs jobs, each on a thread that owns all tensors of its job; there are as many as jobs may run
//! at a time.
//!
//! A worker claims the oldest waiting job, loads its data set, trains it from its resume bundle
//! where there is one, and writes its outcome. Rows, checkpoints and bundles leave the thread
//! through bounded queues to three tasks, so that neither the disk nor the storage holds the
//! training back until they are far behind.

mod attempt;
mod bundle_writer;
mod bundles;
mod context;
mod curve_writer;
mod error;
mod executor;
mod intent_log;
pub mod job_lifecycle;
mod job_run;
mod local;
mod observer;
mod outage;
mod outbox;
mod parent;
mod pending_checkpoint;
mod pool;
mod promotion_log;
mod publisher;
mod recovery;
mod running;
mod sink;
mod sinks;
mod slot;
mod unfinished;
mod watermark;

pub use bundles::{Bundles, StoredBundle};
pub use context::WorkerContext;
pub use outbox::Outbox;
pub use pool::{Wake, Workers};
pub use recovery::{finish_checkpoints, record_bundles, sweep_bundles};
pub use running::{RunningJob, RunningJobs, StopReason};
pub use unfinished::{keep_marking, mark_unfinished};
