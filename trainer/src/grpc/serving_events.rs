//! Events for webhooks about what clients change: they are written once the change is on the storage.

use crate::{
    store::Store,
    wire::cloud_event::{self, Change, CloudEvent},
};
use digits_checkpoint::{id::ModelName, manifest::Manifest, record::ServingRecord};

/// A client has changed what is served.
pub(super) async fn served(
    store: &Store,
    model: &ModelName,
    change: Change,
    record: &ServingRecord,
) {
    if let Some(event) = cloud_event::served(model, change, record) {
        add(store, event).await;
    }
}

/// A client has imported a checkpoint.
pub(super) async fn imported(store: &Store, manifest: &Manifest) {
    add(store, cloud_event::imported(manifest)).await;
}

/// The change is made; the call does not fail for want of its event.
async fn add(store: &Store, event: CloudEvent) {
    let id = event.id.clone();
    if let Err(error) = store.add_event(event).await {
        tracing::error!(event = id, %error, "an event for --webhook is lost: it cannot be written to the job database");
    }
}
