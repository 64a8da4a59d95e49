//! Runs jobs; there are as many threads as jobs may run at a time.
//!
//! Such a thread claims the oldest waiting job, has an executor run an attempt at it, and writes its
//! outcome. The local executor trains on that thread, which owns all tensors of its job; the other
//! has a worker process started and follows its reports on the storage.
//!
//! A training loads its data set and continues from its resume bundle where there is one. Rows,
//! checkpoints and bundles leave its thread through bounded queues to three tasks, so that neither
//! the disk nor the storage holds the training back until they are far behind.

mod assignment;
mod attempt;
mod attempt_output;
mod bundle_writer;
mod bundles;
mod cleared_runs;
mod context;
mod curve_writer;
mod draft_writer;
mod error;
mod executor;
mod follower;
mod intent_log;
pub mod job_lifecycle;
mod job_run;
mod kubernetes;
mod launcher;
mod local;
mod observer;
mod outage;
mod outbox;
mod output;
mod parent;
mod pending_checkpoint;
mod pool;
mod processes;
mod progress;
mod promotion_log;
mod publish_queue;
mod publisher;
mod pushed_curves;
mod recovery;
mod remote;
mod report_attempt;
mod resume_bundles;
mod running;
mod services;
mod sink;
mod sinks;
mod slot;
mod start;
mod train_attempt;
mod unfinished;
mod watermark;

pub use bundles::{Bundles, StoredBundle};
pub use cleared_runs::{clear_runs, sweep_runs};
pub use context::WorkerContext;
pub(crate) use error::is_permanent;
pub use kubernetes::{JobSettings, Template, TemplateError};
pub use outbox::Outbox;
pub use pool::{Execution, StartError, Wake, Workers};
pub use processes::WorkerCommand;
pub use pushed_curves::push_interrupted;
pub use recovery::{finish_checkpoints, record_bundles, sweep_bundles};
pub use report_attempt::{NotReported, ReportedEnd, WorkerTask, read_record, report_attempt};
pub use running::{RunningJob, RunningJobs, StopReason};
pub use unfinished::{keep_marking, mark_unfinished};
