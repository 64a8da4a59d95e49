//! The Job of an attempt, made of a pod template.

use super::template::{PodTemplate, Template, TemplateError};
use digits_checkpoint::runs::Attempt;
use digits_service::exit;
use serde_json::{Map, Value, json};

/// Label that all Jobs and pods of workers have.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub(super) const MANAGER: &str = "digits-trainer";
/// Label with the id of the job.
pub(super) const JOB: &str = "digits-job";
/// Label with the number of the attempt.
pub(super) const ATTEMPT: &str = "digits-attempt";
/// Kueue's label for its local queue.
pub(super) const QUEUE: &str = "kueue.x-k8s.io/queue-name";

/// The StatefulSet of the trainer.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) uid: String,
    /// Image of the first container of its pod.
    pub(super) image: Option<String>,
}

/// What differs between the Jobs of one template.
pub(super) struct JobParts<'a> {
    pub(super) attempt: &'a Attempt,
    /// Device of the worker, for a job that leaves it to the trainer.
    pub(super) device: &'a str,
    pub(super) owner: Option<&'a Owner>,
    /// Kueue's local queue.
    pub(super) queue: Option<&'a str>,
}

/// Name of the Job of an attempt: a DNS label, because ids of jobs are UUIDs.
pub(super) fn name(attempt: &Attempt) -> String {
    format!("{}-{}", attempt.job, attempt.number)
}

/// The Job of an attempt.
///
/// # Errors
/// When no image is known for the worker.
pub(super) fn job(
    source: &Template,
    template: PodTemplate,
    parts: &JobParts<'_>,
) -> Result<Value, TemplateError> {
    let PodTemplate { mut pods, jobs } = template;
    let labels = json!({
        MANAGED_BY: MANAGER,
        JOB: parts.attempt.job,
        ATTEMPT: parts.attempt.number.to_string(),
    });
    extend(&mut pods["metadata"]["labels"], &labels);
    pods["spec"]["restartPolicy"] = json!("Never");
    let container = &mut pods["spec"]["containers"][0];
    complete(source, container, parts)?;
    let policy = failure_policy(&container["name"]);

    let mut metadata = json!({
        "name": name(parts.attempt),
        "labels": jobs["labels"],
        "annotations": jobs["annotations"],
    });
    extend(&mut metadata["labels"], &labels);
    let mut spec = json!({
        // Another attempt is the trainer's to begin: it knows the resume bundles.
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": policy,
        "template": pods,
    });
    if let Some(queue) = parts.queue {
        metadata["labels"][QUEUE] = json!(queue);
        // Until Kueue admits it.
        spec["suspend"] = json!(true);
    }
    if let Some(owner) = parts.owner {
        metadata["ownerReferences"] = json!([{
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "name": owner.name,
            "uid": owner.uid,
        }]);
    }
    Ok(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": spec,
    }))
}

/// Completes the container of the worker.
fn complete(
    source: &Template,
    container: &mut Value,
    parts: &JobParts<'_>,
) -> Result<(), TemplateError> {
    if !container["args"].is_array() {
        container["args"] = json!(["work"]);
    }
    if let Some(arguments) = container["args"].as_array_mut() {
        arguments.extend([
            json!(format!("--job={}", parts.attempt.job)),
            json!(format!("--attempt={}", parts.attempt.number)),
            json!(format!("--device={}", parts.device)),
        ]);
    }
    if container["terminationMessagePolicy"].is_null() {
        container["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    }
    if container["image"].is_null() {
        let image = parts.owner.and_then(|owner| owner.image.as_deref());
        let image = image.ok_or_else(|| TemplateError::Content {
            name: source.to_string(),
            reason: "has no image: name one, or the StatefulSet of the trainer with --job-owner, whose image is then used".to_owned(),
        })?;
        container["image"] = json!(image);
    }
    Ok(())
}

/// Whoever takes its place from a pod does not count as a failure of the Job; wrong usage ends it.
fn failure_policy(container: &Value) -> Value {
    let exits = |action: &str, code: u8| {
        json!({
            "action": action,
            "onExitCodes": { "containerName": container, "operator": "In", "values": [code] },
        })
    };
    json!({
        "rules": [
            {
                "action": "Ignore",
                "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }],
            },
            exits("Ignore", exit::TEMPORARY),
            exits("FailJob", exit::USAGE),
        ]
    })
}

/// Adds the keys of one map to another, which may be null.
fn extend(map: &mut Value, with: &Value) {
    if !map.is_object() {
        *map = Value::Object(Map::new());
    }
    if let (Some(map), Some(with)) = (map.as_object_mut(), with.as_object()) {
        map.extend(with.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt {
        Attempt {
            job: "0190a0b0-0000-7000-8000-000000000001".to_owned(),
            number: 3,
        }
    }

    fn template(container: Value) -> PodTemplate {
        PodTemplate {
            pods: json!({
                "metadata": {"labels": {"team": "a"}},
                "spec": {"containers": [container], "priorityClassName": "low", "newField": 1},
            }),
            jobs: json!({"labels": {"kueue.x-k8s.io/priority-class": "low"}}),
        }
    }

    fn made(container: Value, owner: Option<&Owner>, queue: Option<&str>) -> Value {
        let source = Template::CronJob("worker".to_owned());
        let parts = JobParts {
            attempt: &attempt(),
            device: "cpu",
            owner,
            queue,
        };
        job(&source, template(container), &parts).expect("a Job")
    }

    #[test]
    fn a_job_is_its_template_with_the_attempt() {
        let container =
            json!({"name": "trainer", "image": "digits", "args": ["work", "--threads=2"]});
        let made = made(container, None, None);
        let (metadata, spec) = (&made["metadata"], &made["spec"]);
        assert_eq!(metadata["name"], "0190a0b0-0000-7000-8000-000000000001-3");
        assert!(
            metadata["name"]
                .as_str()
                .is_some_and(|name| name.len() <= 63)
        );
        assert_eq!(metadata["labels"]["kueue.x-k8s.io/priority-class"], "low");
        assert_eq!(metadata["labels"][ATTEMPT], "3");
        assert!(metadata.get("ownerReferences").is_none());
        assert!(spec.get("suspend").is_none() && spec.get("ttlSecondsAfterFinished").is_none());
        let pods = &spec["template"];
        assert_eq!(pods["metadata"]["labels"]["team"], "a");
        assert_eq!(pods["metadata"]["labels"][MANAGED_BY], MANAGER);
        assert_eq!(pods["spec"]["restartPolicy"], "Never");
        assert_eq!(pods["spec"]["priorityClassName"], "low");
        assert_eq!(
            pods["spec"]["newField"], 1,
            "fields of later versions are kept"
        );
        let container = &pods["spec"]["containers"][0];
        assert_eq!(
            container["terminationMessagePolicy"],
            "FallbackToLogsOnError"
        );
        assert_eq!(
            container["args"],
            json!([
                "work",
                "--threads=2",
                "--job=0190a0b0-0000-7000-8000-000000000001",
                "--attempt=3",
                "--device=cpu",
            ])
        );
        let rules = &spec["podFailurePolicy"]["rules"];
        assert_eq!(rules[0]["onPodConditions"][0]["type"], "DisruptionTarget");
        assert_eq!(rules[1]["onExitCodes"]["values"], json!([75]));
        assert_eq!(rules[2]["action"], "FailJob");
        assert_eq!(rules[2]["onExitCodes"]["values"], json!([64]));
        assert_eq!(rules[2]["onExitCodes"]["containerName"], "trainer");
    }

    #[test]
    fn owner_queue_and_image_are_filled_in() {
        let owner = Owner {
            name: "digits-trainer".to_owned(),
            uid: "u-1".to_owned(),
            image: Some("digits-trainer:1".to_owned()),
        };
        let made = made(json!({"name": "trainer"}), Some(&owner), Some("digits"));
        assert_eq!(made["metadata"]["labels"][QUEUE], "digits");
        assert_eq!(made["spec"]["suspend"], true);
        let reference = &made["metadata"]["ownerReferences"][0];
        assert_eq!(reference["uid"], "u-1");
        assert_eq!(reference["kind"], "StatefulSet");
        let container = &made["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "digits-trainer:1");
        assert_eq!(container["args"][0], "work");

        let source = Template::CronJob("worker".to_owned());
        let parts = JobParts {
            attempt: &attempt(),
            device: "cpu",
            owner: None,
            queue: None,
        };
        let error = job(&source, template(json!({"name": "trainer"})), &parts);
        let error = error.expect_err("no image").to_string();
        assert!(error.contains("cronjob/worker has no image"), "{error}");
    }
}
