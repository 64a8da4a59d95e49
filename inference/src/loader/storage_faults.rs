//! Shows what is wrong with the storage of a model: in the log, in `GetModel` and in a metric.

use crate::model::{Model, StorageFault};
use digits_checkpoint::{LogFault, LogFaults};
use jiff::Timestamp;

/// Replaces the faults that are shown of a model. Each is logged when it comes and when it goes.
pub(super) fn show(model: &Model, found: &LogFaults) {
    let mut status = model.status();
    let shown = &mut status.storage_faults;
    shown.retain(|known| {
        let stays = found.iter().any(|fault| *fault == known.fault);
        let follows = || found.iter().any(|fault| fault.kind() == known.fault.kind());
        if !stays && !follows() {
            let kind = known.fault.kind();
            tracing::info!(model = %model.name, kind, "a fault of the storage is gone");
        }
        stays
    });
    for fault in found.iter() {
        if shown.iter().all(|known| known.fault != *fault) {
            let kind = fault.kind();
            tracing::warn!(model = %model.name, kind, "a fault of the storage: {fault}");
            shown.push(StorageFault {
                fault: fault.clone(),
                since: Timestamp::now(),
            });
        }
    }
    for (kind, gauge) in LogFault::KINDS.iter().zip(&model.metrics.storage_faults) {
        let is_shown = shown.iter().any(|known| known.fault.kind() == *kind);
        gauge.set(f64::from(u8::from(is_shown)));
    }
}
