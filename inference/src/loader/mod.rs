//! Follows the serving log of one model and swaps in what it names, off the request path.
//!
//! What serves stays until its successor is ready: a refused checkpoint, a missing file or an
//! unreachable storage never unloads anything, and never hides later records. A refusal is final
//! for its record, unless its files are damaged; everything else is retried.
//!
//! # The way of a hot load
//!
//! [`Loader::run`] polls the storage at an interval, and calls in a row:
//!
//! 1. [`Watcher::poll`]: reads the newest serving record, or the pinned one
//!    ([`Watcher::take_due`]).
//! 2. [`verify()`], for each route whose checkpoint is not served yet: fetches its files, and
//!    checks digests, shapes and numbers.
//! 3. [`build()`]: builds the [`LoadedModel`], and [`run_exam()`] compares it with the golden test
//!    vectors on every [`ExecutionPath`].
//! 4. [`SnapshotBuilder`]: assembles the [`ServingSnapshot`]; a candidate that cannot serve with
//!    the primary is left out.
//! 5. [`swap()`]: [`Model::snapshot`] returns the new snapshot from now on. Whoever subscribed
//!    ([`Registry::subscribe`]) is notified: readiness, in [`App::run`].
//!
//! The work of 2 and 3 runs on a thread of its own, [at low priority](low_priority::run) while
//! requests are served.
//!
//! [`LoadedModel`]: crate::model::LoadedModel
//! [`ServingSnapshot`]: crate::model::ServingSnapshot
//! [`Model::snapshot`]: crate::model::Model::snapshot
//! [`Registry::subscribe`]: crate::model::Registry::subscribe
//! [`App::run`]: crate::app::App::run
//! [`ExecutionPath`]: crate::engine::ExecutionPath

mod backoff;
pub mod build;
pub mod exam;
mod failure;
pub mod follow;
mod gauges;
pub mod highest;
pub mod low_priority;
pub mod refusals;
pub mod snapshot;
mod storage_faults;
pub mod swap;
pub mod verify;
pub mod watch;

pub use build::build;
pub use exam::run_exam;
pub use follow::Loader;
pub use highest::Highest;
pub use snapshot::SnapshotBuilder;
pub use swap::swap;
pub use verify::verify;
pub use watch::Watcher;
