//! Runs of MLflow: found by a tag, or created, and what is logged to them.

use super::client::{CallError, Client};
use crate::{
    job::{CurveRow, JobState},
    store::Job,
    tracker::follow::Failure,
    wire::SpecFields,
};
use digits_checkpoint::manifest::{Evaluation, Manifest};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Tag with the id of the job that a run is of.
const JOB: &str = "digits.job_id";
/// Tag with the id of the checkpoint that a run or a version of a model is of.
pub(super) const CHECKPOINT: &str = "digits.checkpoint_id";
/// Params of a call.
const MAX_PARAMS: usize = 100;
/// Bytes of the value of a param.
const MAX_PARAM_BYTES: usize = 6_000;

/// A run of MLflow.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) id: String,
    /// Where its artifacts are.
    pub(super) artifact_uri: String,
    /// Whether it is in MLflow's trash.
    pub(super) is_deleted: bool,
}

/// What a run is of, and how it is described.
pub(super) struct Subject {
    tag: (&'static str, String),
    name: String,
    start_us: i64,
    tags: BTreeMap<String, String>,
}

impl Subject {
    pub(super) fn job(job: &Job, spec: &SpecFields) -> Self {
        let labels = spec.labels.iter();
        let mut tags: BTreeMap<String, String> = labels
            .map(|(name, value)| (label_tag(name), value.clone()))
            .collect();
        for (name, value) in [
            ("digits.device", &job.device),
            ("digits.dataset_digest", &job.dataset_digest),
        ] {
            if !value.is_empty() {
                tags.insert(name.to_owned(), value.clone());
            }
        }
        Self {
            tag: (JOB, job.id.to_string()),
            name: spec.name.clone(),
            start_us: job.started_us.unwrap_or(job.created_us),
            tags,
        }
    }

    /// A checkpoint whose job is not tracked, or that was imported.
    pub(super) fn checkpoint(manifest: &Manifest) -> Self {
        let job = manifest.lineage.job.iter();
        Self {
            tag: (CHECKPOINT, manifest.id.to_string()),
            name: format!("checkpoint-{}", manifest.id),
            start_us: manifest.created_at.as_microsecond(),
            tags: job
                .map(|id| ("digits.of_job".to_owned(), id.clone()))
                .collect(),
        }
    }
}

/// The tag of a label. MLflow takes names with slashes only if they are paths in their shortest
/// form.
fn label_tag(label: &str) -> String {
    let mut parts = label.split('/');
    match parts.any(|part| matches!(part, "" | "." | "..")) {
        true => format!("label.{}", label.replace('/', ".")),
        false => format!("label.{label}"),
    }
}

/// The run of a subject, if it was created before.
pub(super) async fn find(
    client: &Client,
    experiment: &str,
    subject: &Subject,
) -> Result<Option<Run>, CallError> {
    let (tag, id) = &subject.tag;
    let query = json!({
        "experiment_ids": [experiment],
        "filter": format!("tags.`{tag}` = '{id}'"),
        // One in the trash was put there by somebody, and is not made again.
        "run_view_type": "ALL",
        "max_results": 1,
    });
    let found = client.post("runs/search", &query).await?;
    Ok(found.pointer("/runs/0").and_then(parse))
}

/// Creates the run of a subject.
pub(super) async fn create(
    client: &Client,
    experiment: &str,
    subject: &Subject,
) -> Result<Run, CallError> {
    let (tag, id) = &subject.tag;
    let given = subject.tags.iter();
    let own = [
        (*tag, id.as_str()),
        ("mlflow.source.name", "digits-trainer"),
        ("mlflow.source.type", "JOB"),
    ];
    let tags = given.map(|(key, value)| (key.as_str(), value.as_str()));
    let tags = tags.chain(own);
    let tags: Vec<Value> = tags
        .map(|(key, value)| json!({ "key": key, "value": value }))
        .collect();
    let run = json!({
        "experiment_id": experiment,
        "run_name": subject.name,
        "start_time": millis(subject.start_us),
        "tags": tags,
    });
    let created = client.post("runs/create", &run).await?;
    let unknown = || CallError::Unavailable("runs/create: the answer has no run".to_owned());
    created.get("run").and_then(parse).ok_or_else(unknown)
}

fn parse(run: &Value) -> Option<Run> {
    let text = |key: &str| run["info"][key].as_str();
    Some(Run {
        id: text("run_id")?.to_owned(),
        artifact_uri: text("artifact_uri")?.to_owned(),
        is_deleted: text("lifecycle_stage") == Some("deleted"),
    })
}

/// The bodies that log the params of a job.
pub(super) fn params(run: &Run, spec: &SpecFields) -> Vec<Value> {
    let params = spec.params.iter().map(|(key, value)| {
        let value = &value[..value.floor_char_boundary(MAX_PARAM_BYTES)];
        json!({ "key": key, "value": value })
    });
    let params: Vec<Value> = params.collect();
    let bodies = params.chunks(MAX_PARAMS);
    bodies
        .map(|params| json!({ "run_id": run.id, "params": params }))
        .collect()
}

/// Metrics of a row.
pub(super) fn row(row: &CurveRow) -> Vec<Value> {
    let metric = |key, value| metric(key, value, row.at_us, row.step);
    let validation = &row.validation;
    vec![
        metric("train/loss", row.train_loss),
        metric("validation/loss", validation.loss),
        metric("validation/accuracy", validation.accuracy()),
        metric("learning_rate", row.learning_rate),
        metric("samples_per_second", row.samples_per_second),
    ]
}

/// Metrics of an evaluation on the test set.
pub(super) fn test(test: &Evaluation, at_us: i64, step: u64) -> Vec<Value> {
    vec![
        metric("test/loss", test.loss, at_us, step),
        metric("test/accuracy", test.accuracy(), at_us, step),
    ]
}

fn metric(key: &str, value: f64, at_us: i64, step: u64) -> Value {
    // JSON has no such numbers; MLflow takes their names.
    let value = match value {
        value if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        value => json!(value),
    };
    json!({ "key": key, "value": value, "timestamp": millis(at_us), "step": step })
}

/// The body that ends a run.
pub(super) fn end(run: &Run, state: JobState, at_us: i64) -> Value {
    let status = match state {
        JobState::Succeeded => "FINISHED",
        JobState::Cancelled => "KILLED",
        JobState::Failed | JobState::Queued | JobState::Running => "FAILED",
    };
    json!({ "run_id": run.id, "status": status, "end_time": millis(at_us) })
}

fn millis(us: i64) -> i64 {
    us.div_euclid(1_000)
}

/// The id of an experiment, which is created if it is not there.
///
/// # Errors
/// Also for an experiment in MLflow's trash.
pub(super) async fn experiment(client: &Client, name: &str) -> Result<String, Failure> {
    let query = [("experiment_name", name)];
    let found = client.get("experiments/get-by-name", &query).await;
    let answer = match found {
        Err(error) if error.is("RESOURCE_DOES_NOT_EXIST") => {
            // MLflow's page shows the runs of such an experiment as trainings.
            let kind =
                json!({ "key": "mlflow.experimentKind", "value": "custom_model_development" });
            let experiment = json!({ "name": name, "tags": [kind] });
            client.post("experiments/create", &experiment).await?
        }
        found => found?["experiment"].clone(),
    };
    if answer["lifecycle_stage"] == "deleted" {
        return Err(Failure::Unavailable(format!(
            "the experiment {name:?} is in MLflow's trash: restore it, or give another --mlflow-experiment"
        )));
    }
    let id = answer["experiment_id"].as_str();
    let unknown = || Failure::Unavailable("the answer has no experiment_id".to_owned());
    id.map(str::to_owned).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_lacks_are_named() {
        for (value, expected) in [
            (0.5, json!(0.5)),
            (f64::NAN, json!("NaN")),
            (f64::INFINITY, json!("Infinity")),
            (f64::NEG_INFINITY, json!("-Infinity")),
        ] {
            let logged = metric("train/loss", value, 1_999, 7);
            assert_eq!(logged["value"], expected);
            assert_eq!(
                (&logged["timestamp"], &logged["step"]),
                (&json!(1), &json!(7))
            );
        }
    }

    #[test]
    fn labels_are_tags_that_mlflow_takes() {
        for (label, tag) in [
            ("team", "label.team"),
            ("example.com/app", "label.example.com/app"),
            ("a//b", "label.a..b"),
            ("a/../b", "label.a....b"),
        ] {
            assert_eq!(label_tag(label), tag);
        }
    }

    #[test]
    fn params_are_logged_a_hundred_at_a_time_and_cut() {
        let run = Run {
            id: "r".to_owned(),
            artifact_uri: String::new(),
            is_deleted: false,
        };
        let params = (0..101).map(|number| (number.to_string(), "é".repeat(4_000)));
        let spec = SpecFields {
            params: params.collect(),
            ..SpecFields::default()
        };
        let bodies = params_of(&run, &spec);
        let counts: Vec<usize> = bodies.iter().map(Vec::len).collect();
        assert_eq!(counts, [100, 1]);
        let value = bodies[1][0]["value"].as_str().expect("a value");
        assert_eq!(value.len(), MAX_PARAM_BYTES);
    }

    fn params_of(run: &Run, spec: &SpecFields) -> Vec<Vec<Value>> {
        let bodies = params(run, spec).into_iter();
        bodies
            .map(|body| body["params"].as_array().expect("params").clone())
            .collect()
    }
}
