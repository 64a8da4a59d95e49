//! Finds the model that a request names, and what it serves.

use crate::model::{Model, Registry, ServingSnapshot};
use digits_server::{not_found, unavailable_status};
use std::{sync::Arc, time::Duration};
use tonic::Status;

/// When a client should retry while nothing is served: a load takes moments, a training any time.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Characters of a client's name that are repeated in an error: the longest name of a model.
const MAX_NAME_CHARS: usize = 63;

/// The model that `field` of the request names.
///
/// # Errors
///
/// NOT_FOUND with the models that there are.
pub fn model<'a>(
    registry: &'a Registry,
    field: &str,
    name: &str,
) -> Result<&'a Arc<Model>, Status> {
    registry.get(name).ok_or_else(|| {
        let name: String = name.chars().take(MAX_NAME_CHARS).collect();
        let message = format!(
            "{field}: this server does not serve {name:?}; it serves {}",
            registry.names()
        );
        not_found("model", name, message)
    })
}

/// The current snapshot of the model, kept for a whole request.
///
/// # Errors
///
/// UNAVAILABLE before the first checkpoint is loaded.
pub fn snapshot(model: &Model) -> Result<Arc<ServingSnapshot>, Status> {
    model.snapshot().clone().ok_or_else(|| {
        let message = format!(
            "no checkpoint of the model {} is loaded yet; train one, or retry later",
            model.name
        );
        unavailable_status(message, RETRY_AFTER)
    })
}
