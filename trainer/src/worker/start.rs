//! Has the worker of an attempt started, and repeats that while it fails.

use super::{
    error::JobError,
    launcher::{Launcher, Start},
    outage::Outages,
    slot::WorkerSlot,
};
use crate::{store::Job, wire::SpecMessage};
use digits_checkpoint::runs::Attempt;

/// Has the worker of an attempt started, and repeats that while it fails.
pub(super) fn start_worker(
    launcher: &impl Launcher,
    slot: &WorkerSlot,
    job: &Job,
    attempt: &Attempt,
    outages: Outages<'_>,
) -> Result<(), JobError> {
    let request = SpecMessage::decode(&job.resolved)?.request();
    let start = Start {
        slot,
        attempt,
        device: request.device.as_deref().unwrap_or("auto"),
    };
    let starting = outages.of_starts(attempt.number);
    let started = starting.outlast(|| launcher.launch(&start));
    Ok(slot.context.runtime.block_on(started)?)
}
