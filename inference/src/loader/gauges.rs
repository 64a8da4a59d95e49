//! Gauges that change while a snapshot is served: its age, its drift, and how far it is behind.

use crate::model::Model;
use jiff::Timestamp;

/// Updates the gauges of a model.
pub(super) fn update(model: &Model) {
    let snapshot = model.snapshot();
    let sequence = snapshot.as_ref().map_or(0, |snapshot| snapshot.sequence);
    let behind = model.status().head_sequence.saturating_sub(sequence);
    model.metrics.behind_head.set(behind as f64);
    for route in snapshot.iter().flat_map(|snapshot| snapshot.routes()) {
        let manifest = &route.checkpoint.manifest;
        route.gauges.set_age(seconds_since(manifest.created_at));
        if let Some(drift) = route.tally.step(manifest) {
            route.gauges.drift.set(drift);
        }
    }
}

/// A time in seconds since 1970.
pub(super) fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1e3
}

/// Seconds since a time of another machine; 0 if its clock is ahead.
pub(super) fn seconds_since(time: Timestamp) -> f64 {
    (seconds(Timestamp::now()) - seconds(time)).max(0.0)
}
