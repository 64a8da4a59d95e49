//! A job as it is given to one attempt.

use crate::{job::JobId, train::Device};
use std::time::Duration;

/// A job as it is given to one attempt.
pub(crate) struct Assignment<'a> {
    pub(crate) job: JobId,
    /// How often its training was started, for the log.
    pub(crate) attempts: u32,
    /// The resolved spec, encoded.
    pub(crate) resolved: &'a [u8],
    /// Time of training in earlier attempts.
    pub(crate) spent: Duration,
    /// Device of a job whose device is `auto`.
    pub(crate) device: Device,
    /// CPU threads for the job.
    pub(crate) threads: usize,
}
