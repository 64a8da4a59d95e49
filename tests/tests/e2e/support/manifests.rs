//! The objects that `kubectl kustomize` builds from `deploy/kubernetes`, and their references.
//! Needs no cluster.

use super::metric_names::repository;
use anyhow::{Context as _, Result, ensure};
use digits_testing::skip;
use serde::Deserialize as _;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::PathBuf,
    process::Command,
};

/// The kinds that hold a pod template.
const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "CronJob"];

/// What one kustomization builds.
pub struct Manifests(Vec<Value>);

/// A key and a value of labels.
pub type Labels = BTreeMap<String, String>;

impl Manifests {
    /// Builds a folder of `deploy/kubernetes`. Where there is no kubectl, `test` is skipped as
    /// [`skip`] does it.
    ///
    /// # Errors
    /// When kustomize refuses it.
    ///
    /// # Panics
    /// With `DIGITS_FORBID_SKIP=1` and without kubectl.
    pub fn build(folder: &str, test: &str) -> Result<Option<Self>> {
        let Some(kubectl) = kubectl() else {
            skip(
                test,
                "kubectl is missing: `make kubectl` fetches it, or DIGITS_KUBECTL names it",
            );
            return Ok(None);
        };
        let output = Command::new(kubectl)
            .arg("kustomize")
            .arg(repository("deploy/kubernetes").join(folder))
            .output()?;
        ensure!(
            output.status.success(),
            "{folder}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout)?;
        Ok(Some(Self(documents(&text).context(folder.to_owned())?)))
    }

    /// All objects of a kind.
    pub fn of<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// One object.
    #[must_use]
    pub fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.of(kind)
            .find(|object| object["metadata"]["name"] == name)
    }

    /// All that hold a pod template.
    pub fn workloads(&self) -> impl Iterator<Item = Workload<'_>> {
        WORKLOADS
            .into_iter()
            .flat_map(|kind| self.of(kind))
            .map(|object| Workload { object })
    }

    /// The workload with this label `app.kubernetes.io/name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn workload(&self, name: &str) -> Result<Workload<'_>> {
        self.workloads()
            .find(|workload| workload.name() == name)
            .with_context(|| format!("there is no workload {name}"))
    }

    /// The workloads whose pods a selector (`matchLabels` and `matchExpressions` with `In`, or
    /// plain labels) selects.
    pub fn selected(&self, selector: &Value) -> Vec<Workload<'_>> {
        self.workloads()
            .filter(|workload| selects(selector, &workload.labels()))
            .collect()
    }

    /// The variables that a container gets from ConfigMaps and from `env`; those of Secrets with an
    /// empty value. Without those that differ from pod to pod (`fieldRef`).
    ///
    /// # Errors
    /// When a ConfigMap is not there.
    pub fn variables(&self, container: &Value) -> Result<BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        for from in list(&container["envFrom"]) {
            let name = string(&from["configMapRef"]["name"]);
            let map = self
                .find("ConfigMap", name)
                .with_context(|| format!("there is no ConfigMap {name}"))?;
            all.extend(labels(&map["data"]));
        }
        for variable in list(&container["env"]) {
            let name = string(&variable["name"]).to_owned();
            let from = &variable["valueFrom"];
            if let Some(key) = from.get("configMapKeyRef") {
                if let Some(value) = self.setting(key)? {
                    all.insert(name, value);
                }
            } else if from.get("fieldRef").is_none() {
                all.insert(name, string(&variable["value"]).to_owned());
            }
        }
        Ok(all)
    }

    /// The value that a `configMapKeyRef` names; `None` for an optional key that is not there.
    fn setting(&self, key: &Value) -> Result<Option<String>> {
        let name = string(&key["name"]);
        let map = self.find("ConfigMap", name).context("no ConfigMap")?;
        let value = map["data"].get(string(&key["key"]));
        ensure!(value.is_some() || key["optional"] == true, "no {key}");
        Ok(value.map(|value| string(value).to_owned()))
    }
}

/// Something with a pod template.
#[derive(Clone, Copy)]
pub struct Workload<'a> {
    /// The whole object.
    pub object: &'a Value,
}

impl<'a> Workload<'a> {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'a str {
        string(&self.object["metadata"]["name"])
    }

    /// What has its pods' template: itself, or the Jobs of a CronJob.
    #[must_use]
    pub fn spec(self) -> &'a Value {
        let spec = &self.object["spec"];
        spec.pointer("/jobTemplate/spec").unwrap_or(spec)
    }

    /// Its pods' specification.
    #[must_use]
    pub fn pod(self) -> &'a Value {
        &self.spec()["template"]["spec"]
    }

    /// Its pods' labels.
    #[must_use]
    pub fn labels(self) -> Labels {
        labels(&self.spec()["template"]["metadata"]["labels"])
    }

    /// Its one container.
    #[must_use]
    pub fn container(self) -> &'a Value {
        &self.pod()["containers"][0]
    }

    /// Its container's ports by name.
    #[must_use]
    pub fn ports(self) -> BTreeMap<&'a str, u64> {
        list(&self.container()["ports"])
            .iter()
            .map(|port| {
                let number = port["containerPort"].as_u64().unwrap_or_default();
                (string(&port["name"]), number)
            })
            .collect()
    }

    /// Names of the volumes that its pods have, claim templates among them.
    #[must_use]
    pub fn volumes(self) -> BTreeSet<&'a str> {
        let claims = list(&self.object["spec"]["volumeClaimTemplates"]).iter();
        let claims = claims.map(|claim| string(&claim["metadata"]["name"]));
        let volumes = list(&self.pod()["volumes"]).iter();
        claims
            .chain(volumes.map(|volume| string(&volume["name"])))
            .collect()
    }
}

/// The documents of a YAML text, as JSON values.
///
/// # Errors
/// When it is no YAML.
pub fn documents(text: &str) -> Result<Vec<Value>> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).map_err(Into::into))
        .collect()
}

/// A list, or none.
#[must_use]
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text, or an empty one.
#[must_use]
pub fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A map of texts.
#[must_use]
pub fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| (key.clone(), string(value).to_owned()))
        .collect()
}

/// Whether a selector selects these labels. The empty one selects all.
#[must_use]
pub fn selects(selector: &Value, of: &Labels) -> bool {
    let structured =
        selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let plain = labels(if structured {
        &selector["matchLabels"]
    } else {
        selector
    });
    plain.iter().all(|(key, value)| of.get(key) == Some(value))
        && list(&selector["matchExpressions"]).iter().all(|one| {
            let value = of.get(string(&one["key"]));
            let values = list(&one["values"]).iter().map(string);
            one["operator"] == "In"
                && value.is_some_and(|value| values.into_iter().any(|v| v == value))
        })
}

/// A quantity of Kubernetes as a number: `250m`, `1Gi`, `2`.
///
/// # Errors
/// When it is none.
pub fn quantity(value: &Value) -> Result<f64> {
    let text = value.as_str().context("a quantity is a text")?;
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => anyhow::bail!("{text} is no quantity"),
    };
    Ok(number.parse::<f64>().with_context(|| text.to_owned())? * unit)
}

/// `DIGITS_KUBECTL`, else on the `PATH`.
fn kubectl() -> Option<PathBuf> {
    let named = env::var_os("DIGITS_KUBECTL").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    named
        .into_iter()
        .chain(env::split_paths(&path).map(|dir| dir.join("kubectl")))
        .find(|program| program.is_file())
}
