//! One of the workers, as its jobs see it.

use super::context::WorkerContext;
use crate::train::Device;
use std::sync::{Arc, atomic::AtomicBool};

/// One of the workers, as its jobs see it.
pub(super) struct WorkerSlot {
    pub(super) context: WorkerContext,
    /// Where its jobs run whose device is `auto`.
    pub(super) device: Device,
    /// CPU threads for a job.
    pub(super) threads: usize,
    pub(super) shutdown: Arc<AtomicBool>,
}
