//! Versions of registered models, and the alias of the one that is served.

use super::{
    client::{CallError, Client},
    runs::CHECKPOINT,
};
use digits_checkpoint::{
    id::{CheckpointId, ModelName},
    manifest::Manifest,
};
use serde_json::{Value, json};
use ureq::http::Method;

/// Alias of the version that is served.
const ALIAS: &str = "champion";
/// Tag of the models that trainers register.
const MANAGED: &str = "digits.managed";
/// Models whose alias is followed, at most: those of a page of MLflow's search.
const MAX_MODELS: &str = "1000";

/// Names of the models that a trainer has registered.
pub(super) async fn models(client: &Client) -> Result<Vec<ModelName>, CallError> {
    let filter = format!("tags.`{MANAGED}` = 'true'");
    let query = [("filter", filter.as_str()), ("max_results", MAX_MODELS)];
    let found = client.get("registered-models/search", &query).await?;
    let models = found["registered_models"].as_array();
    let names = models.into_iter().flatten();
    Ok(names
        .filter_map(|model| model["name"].as_str()?.parse().ok())
        .collect())
}

/// Registers a model, unless it is registered.
pub(super) async fn register(client: &Client, model: &ModelName) -> Result<(), CallError> {
    let body = json!({
        "name": model.as_str(),
        "tags": [{ "key": MANAGED, "value": "true" }],
    });
    match client.post("registered-models/create", &body).await {
        Err(error) if error.is("RESOURCE_ALREADY_EXISTS") => {
            let tag = json!({ "name": model.as_str(), "key": MANAGED, "value": "true" });
            client.post("registered-models/set-tag", &tag).await?;
            Ok(())
        }
        created => created.map(|_| ()),
    }
}

/// The version of a model that is a checkpoint.
pub(super) async fn version(
    client: &Client,
    model: &ModelName,
    id: CheckpointId,
) -> Result<Option<String>, CallError> {
    let filter = format!("name = '{model}' and tags.`{CHECKPOINT}` = '{id}'");
    let query = [("filter", filter.as_str()), ("max_results", "1")];
    let found = client.get("model-versions/search", &query).await?;
    let version = found.pointer("/model_versions/0/version");
    Ok(version.and_then(Value::as_str).map(str::to_owned))
}

/// Creates the version of a checkpoint.
pub(super) async fn create_version(
    client: &Client,
    manifest: &Manifest,
    run: &str,
    source: &str,
) -> Result<(), CallError> {
    let (lineage, metrics) = (&manifest.lineage, &manifest.metrics);
    let accuracy = metrics.test.or(metrics.validation).map(|it| it.accuracy());
    let tags = [
        (CHECKPOINT, Some(manifest.id.to_string())),
        ("digits.job_id", lineage.job.clone()),
        ("digits.epoch", Some(lineage.epoch.to_string())),
        ("digits.accuracy", accuracy.map(|it| it.to_string())),
        (
            "digits.weights_sha256",
            Some(manifest.files.model.sha256.clone()),
        ),
    ];
    let tags = tags.into_iter();
    let tags = tags.filter_map(|(key, value)| Some(json!({ "key": key, "value": value? })));
    let body = json!({
        "name": manifest.model.as_str(),
        "source": source,
        "run_id": run,
        "tags": tags.collect::<Vec<_>>(),
    });
    client
        .post("model-versions/create", &body)
        .await
        .map(|_| ())
}

/// Moves the alias of what is served to a version, or removes it.
pub(super) async fn set_alias(
    client: &Client,
    model: &ModelName,
    version: Option<&str>,
) -> Result<(), CallError> {
    let mut body = json!({ "name": model.as_str(), "alias": ALIAS });
    let method = match version {
        Some(version) => {
            body["version"] = version.into();
            Method::POST
        }
        None => Method::DELETE,
    };
    client
        .send(method, "registered-models/alias", &body)
        .await
        .map(|_| ())
}
