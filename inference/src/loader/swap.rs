//! Swaps a snapshot in, and frees the ones before it.

use crate::model::{Model, ServingSnapshot};
use digits_checkpoint::serving;
use std::sync::Arc;

/// Maximum number of old snapshots that wait for their last request.
const MAX_RETIRED: usize = 8;

/// Serves `snapshot` from now on, and sets the gauges of its routes. Returns what was served
/// before.
pub fn swap(model: &Model, snapshot: ServingSnapshot) -> Option<Arc<ServingSnapshot>> {
    let snapshot = Arc::new(snapshot);
    let before = model.swap(Arc::clone(&snapshot));
    for old in before.iter().flat_map(|before| before.routes()) {
        if snapshot.routes().all(|route| route.role != old.role) {
            old.gauges.clear();
            old.live.clear();
        }
    }
    for route in snapshot.routes() {
        route.live.show();
        if route.since_sequence == snapshot.sequence {
            // The gauge still has the drift of the checkpoint before.
            route.gauges.drift.clear();
        }
        let values = route.checkpoint.gauge_values(snapshot.sequence);
        route.gauges.set(&values);
    }
    log(model, &snapshot, before.as_deref());
    before
}

/// Logs what is served, and what it replaced.
fn log(model: &Model, snapshot: &ServingSnapshot, before: Option<&ServingSnapshot>) {
    let checkpoint = &snapshot.primary.checkpoint;
    let id = checkpoint.manifest.id;
    let replaced = before.filter(|before| before.primary.checkpoint.manifest.id != id);
    let replaced_manifest = replaced.map(|before| &before.primary.checkpoint.manifest);
    let rollback = replaced.map(|before| {
        let (name, sequence) = (&model.name, before.sequence);
        format!("digits rollback --to {sequence} --model {name}")
    });
    tracing::info!(
        model = %model.name,
        sequence = snapshot.sequence,
        checkpoint = %id,
        accuracy = serving::accuracy(&checkpoint.manifest),
        microseconds_alone = checkpoint.image_seconds.alone * 1e6,
        microseconds_among_many = checkpoint.image_seconds.among_many * 1e6,
        replaced = replaced_manifest.map(|manifest| tracing::field::display(manifest.id)),
        replaced_accuracy = replaced_manifest.and_then(serving::accuracy),
        rollback,
        "serving"
    );
}

/// Snapshots that were replaced and may still be used by requests.
#[derive(Default)]
pub struct Retired {
    snapshots: Vec<Arc<ServingSnapshot>>,
}

impl Retired {
    /// Keeps a snapshot until no request uses it.
    pub fn add(&mut self, snapshot: Option<Arc<ServingSnapshot>>) {
        self.snapshots.extend(snapshot);
    }

    /// Frees unused weights here, and not in the request that used them last.
    pub fn free(&mut self) {
        let surplus = self.snapshots.len().saturating_sub(MAX_RETIRED);
        self.snapshots.drain(..surplus);
        let (free, used): (Vec<_>, Vec<_>) = self
            .snapshots
            .drain(..)
            .partition(|snapshot| Arc::strong_count(snapshot) == 1);
        self.snapshots = used;
        if !free.is_empty() {
            // Returning hundreds of megabytes to the system blocks.
            tokio::task::spawn_blocking(move || drop(free));
        }
    }
}
