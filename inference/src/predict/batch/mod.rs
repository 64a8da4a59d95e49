//! The batch queue: large requests wait in it, and those for one model are computed together.

mod fair;
pub mod handoff;
pub mod queue;
mod waiting;
pub mod worker;

pub use queue::{BatchQueue, InlineLimits, QueueError, QueueLimits, WorkItem};
