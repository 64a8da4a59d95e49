//! Pod templates that the operator gives: a file, or a CronJob of the cluster.

use serde::Deserialize as _;
use serde_json::Value;
use std::{fmt, fs, io, path::PathBuf, str::FromStr};

/// Where a pod template comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Template {
    /// A YAML file with an object that has a pod template, such as a PodTemplate or a CronJob.
    File(PathBuf),
    /// A CronJob in the namespace of the Jobs, usually a suspended one.
    CronJob(String),
}

impl FromStr for Template {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix("cronjob/") {
            Some(name) => Self::CronJob(name.to_owned()),
            None => Self::File(text.into()),
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::CronJob(name) => write!(f, "cronjob/{name}"),
        }
    }
}

/// Why a pod template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("the pod template {path} cannot be read: {source}")]
    File {
        /// Its path.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// It is no YAML.
    #[error("the pod template {path} is no YAML: {source}")]
    Yaml {
        /// Its path.
        path: String,
        /// Where and why.
        source: serde_yaml_ng::Error,
    },
    /// Its content.
    #[error("the pod template {name} {reason}")]
    Content {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A pod template, and the labels and annotations of the Jobs that are made of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PodTemplate {
    /// `metadata` and `spec` of the pods.
    pub(super) pods: Value,
    /// `metadata` of the Jobs; null for none.
    pub(super) jobs: Value,
}

impl Template {
    /// Reads and checks a template in a file. One in the cluster is not read here.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn check(&self) -> Result<(), TemplateError> {
        match self {
            Self::File(_) => self.read().map(|_| ()),
            Self::CronJob(_) => Ok(()),
        }
    }

    /// The template in a file.
    pub(super) fn read(&self) -> Result<PodTemplate, TemplateError> {
        let path = self.to_string();
        let text = fs::read_to_string(&path).map_err(|source| TemplateError::File {
            path: path.clone(),
            source,
        })?;
        let document = serde_yaml_ng::Deserializer::from_str(&text);
        let object =
            Value::deserialize(document).map_err(|source| TemplateError::Yaml { path, source })?;
        self.of(&object)
    }

    /// The template in an object.
    pub(super) fn of(&self, object: &Value) -> Result<PodTemplate, TemplateError> {
        let wrong = |reason: &str| TemplateError::Content {
            name: self.to_string(),
            reason: reason.to_owned(),
        };
        let pods = [
            "/template",
            "/spec/jobTemplate/spec/template",
            "/spec/template",
        ]
        .into_iter()
        .find_map(|path| object.pointer(path))
        .ok_or_else(|| {
            wrong("has no pod template: give a PodTemplate, a CronJob, a Job or a Deployment")
        })?;
        let containers = pods.pointer("/spec/containers").and_then(Value::as_array);
        let container = containers
            .and_then(|all| all.first())
            .ok_or_else(|| wrong("has no container"))?;
        if !container["name"].is_string() {
            return Err(wrong("has a container without a name"));
        }
        match pods.pointer("/spec/restartPolicy").and_then(Value::as_str) {
            None | Some("Never") => {}
            Some(policy) => {
                return Err(wrong(&format!(
                    "has restartPolicy {policy}: leave it out, or set it to Never"
                )));
            }
        }
        Ok(PodTemplate {
            pods: pods.clone(),
            jobs: object
                .pointer("/spec/jobTemplate/metadata")
                .cloned()
                .unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_are_found_in_objects_that_have_one() {
        let template = Template::CronJob("worker".to_owned());
        let pods = json!({"spec": {"containers": [{"name": "trainer"}]}});
        for object in [
            json!({"kind": "PodTemplate", "template": pods}),
            json!({"kind": "Job", "spec": {"template": pods}}),
            json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": pods}}}}),
        ] {
            assert_eq!(template.of(&object).expect("a template").pods, pods);
        }
        for (object, reason) in [
            (json!({"kind": "ConfigMap"}), "has no pod template"),
            (json!({"template": {"spec": {}}}), "has no container"),
            (
                json!({"template": {"spec": {"containers": [{}]}}}),
                "a container without a name",
            ),
            (
                json!({"template": {"spec": {
                    "containers": [{"name": "trainer"}], "restartPolicy": "OnFailure",
                }}}),
                "restartPolicy OnFailure",
            ),
        ] {
            let error = template.of(&object).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
            assert!(error.contains("cronjob/worker"), "{error}");
        }
    }

    #[test]
    fn files_are_read_and_errors_name_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("worker.yaml");
        let template: Template = path.to_str().expect("UTF-8").parse().expect("a path");
        let error = template.check().expect_err("no file").to_string();
        assert!(error.contains("worker.yaml cannot be read"), "{error}");
        fs::write(&path, "a: [").expect("written");
        let error = template.check().expect_err("no YAML").to_string();
        assert!(error.contains("worker.yaml is no YAML"), "{error}");
        let text = "kind: PodTemplate\ntemplate: {spec: {containers: [{name: trainer}]}}\n";
        fs::write(&path, text).expect("written");
        template.check().expect("a template");
    }
}
