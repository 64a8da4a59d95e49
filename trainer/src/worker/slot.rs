//! A worker as seen by its jobs: its shared services, device and stop flag.

use super::context::WorkerContext;
use crate::train::Device;
use std::sync::{Arc, atomic::AtomicBool};

/// A worker as seen by its jobs.
pub(super) struct WorkerSlot {
    pub(super) context: WorkerContext,
    /// Device of its jobs whose device is `auto`.
    pub(super) device: Device,
    /// CPU threads for a job.
    pub(super) threads: usize,
    pub(super) shutdown: Arc<AtomicBool>,
}
