//! A pod can use what it is configured to use: the storage, the files that variables name, and the
//! addresses, which a NetworkPolicy must let it reach.

use crate::support::manifests::{Labels, Manifests, Workload, list, selects, string};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// A Prometheus and a collector as their operators name them.
const RECEIVER: &str = "http://prometheus-operated.monitoring.svc:9090/api/v1/write";
const COLLECTOR: &str = "http://otel-collector.monitoring.svc:4317";
const TRAINER: &str = "http://digits-trainer.digits.svc:50051";
const BUCKET: &str = "http://minio.minio.svc:9000";
/// Prefixes of the service's variables that `digits-trainer run` does not use: it has no ports.
const OF_PORTS: [&str; 4] = [
    "DIGITS_TLS_",
    "DIGITS_TOKEN_FILE",
    "DIGITS_JWT_",
    "DIGITS_ROLE_FILE",
];
const GPU: &str = "/resources/limits/nvidia.com~1gpu";

/// The variables that a pod uses.
fn variables(all: &Manifests, workload: Workload<'_>) -> Result<Vec<(String, String)>> {
    let job = workload.name() == "digits-job";
    let found = all.variables(workload.container())?.into_iter();
    Ok(found
        .filter(|(name, _)| !(job && OF_PORTS.iter().any(|of| name.starts_with(of))))
        .collect())
}

/// Host and port of an address that a variable holds; `None` where it is none.
fn address(value: &str) -> Option<(&str, u64)> {
    if value.starts_with("s3://") {
        return Some(("", 443));
    }
    let (scheme, rest) = value.split_once("://")?;
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((authority, default)),
    }
}

/// Whether some policy lets the pods of a workload reach an address. A host `NAME.NAMESPACE.svc` is
/// in the cluster, and in the namespace `digits` a Service of the pods with that name.
fn reaches(all: &Manifests, workload: Workload<'_>, (host, port): (&str, u64)) -> bool {
    let mut parts = host.split('.');
    let name = parts.next().unwrap_or_default();
    let namespace = parts.next().filter(|_| parts.next() == Some("svc"));
    let label = |key: &str, value: &str| Labels::from([(key.to_owned(), value.to_owned())]);
    let there = namespace.map(|name| label("kubernetes.io/metadata.name", name));
    let near = (namespace == Some("digits")).then(|| label("app.kubernetes.io/name", name));
    let lets = |rule: &Value| {
        let ports = list(&rule["ports"]);
        let port = ports.is_empty() || ports.iter().any(|it| it["port"] == port);
        // A rule for a namespace does not allow external hosts.
        let peers = list(&rule["to"]);
        let peer = peers.is_empty()
            || peers.iter().any(|peer| {
                let (selector, of) = match peer.get("namespaceSelector") {
                    Some(selector) => (Some(selector), &there),
                    None => (peer.get("podSelector"), &near),
                };
                selector.is_some_and(|it| of.as_ref().is_some_and(|of| selects(it, of)))
            });
        port && peer
    };
    all.of("NetworkPolicy").any(|policy| {
        let spec = &policy["spec"];
        selects(&spec["podSelector"], &workload.labels()) && list(&spec["egress"]).iter().any(lets)
    })
}

/// Every address in a pod's variables.
pub fn addresses(all: &Manifests) -> Result<()> {
    for workload in all.workloads() {
        let variables = variables(all, workload)?;
        // With an endpoint, the bucket is there.
        let endpoint = variables.iter().any(|(name, _)| name == "AWS_ENDPOINT");
        for (variable, value) in variables {
            if endpoint && value.starts_with("s3://") {
                continue;
            }
            if let Some(address) = address(&value) {
                ensure!(
                    reaches(all, workload, address),
                    "{}: no policy lets it reach {variable}={value}",
                    workload.name()
                );
            }
        }
    }
    Ok(())
}

#[test]
fn network_policies_allow_the_configured_addresses() -> Result<()> {
    super::each("network_policies_allow_the_configured_addresses", addresses)
}

/// An overlay sets the addresses; the component opens the ports.
#[test]
fn services_in_the_cluster_can_be_reached() -> Result<()> {
    let test = "services_in_the_cluster_can_be_reached";
    let cases = [
        ("overlays/full", "digits-trainer", RECEIVER, true),
        ("overlays/full", "digits-job", RECEIVER, true),
        ("overlays/s3-jobs", "digits-job", RECEIVER, true),
        ("overlays/full", "digits-trainer", COLLECTOR, true),
        ("overlays/full", "digits-inference", COLLECTOR, true),
        ("overlays/full", "digits-job", COLLECTOR, true),
        ("overlays/full", "digits-tools", TRAINER, true),
        ("examples/minio", "digits-tools", BUCKET, true),
        ("examples/minio", "digits-inference", BUCKET, true),
        ("examples/minio", "digits-trainer", BUCKET, true),
        // All other traffic is denied.
        ("base", "digits-trainer", RECEIVER, false),
        ("base", "digits-inference", TRAINER, false),
        ("overlays/full", "digits-backup", TRAINER, false),
        ("examples/eks", "digits-inference", BUCKET, false),
        ("overlays/full", "digits-inference", RECEIVER, false),
        ("overlays/s3-jobs", "digits-trainer", COLLECTOR, false),
        (
            "overlays/full",
            "digits-trainer",
            "http://prometheus.other.svc:9090",
            false,
        ),
        (
            "overlays/full",
            "digits-trainer",
            "http://prometheus.example.com:9090",
            false,
        ),
    ];
    for (folder, name, url, reached) in cases {
        let Some(all) = Manifests::build(folder, test)? else {
            return Ok(());
        };
        let address = address(url).context("an address")?;
        ensure!(
            reaches(&all, all.workload(name)?, address) == reached,
            "{folder}: {name} and {url}"
        );
    }
    Ok(())
}

#[test]
fn files_that_variables_name_are_mounted() -> Result<()> {
    super::each("files_that_variables_name_are_mounted", |all| {
        for workload in all.workloads() {
            let mounts = list(&workload.container()["volumeMounts"]);
            let mounted = |path: &str| {
                mounts.iter().any(|mount| {
                    let rest = path.strip_prefix(string(&mount["mountPath"]));
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
            };
            for (variable, value) in variables(all, workload)? {
                let path = value.strip_prefix("file://").unwrap_or(&value);
                ensure!(
                    !path.starts_with('/') || mounted(path),
                    "{}: nothing is mounted for {variable}={value}",
                    workload.name()
                );
            }
        }
        Ok(())
    })
}

/// All use one storage, and a Job has the same settings as the trainer.
#[test]
fn a_job_has_the_settings_of_the_trainer() -> Result<()> {
    super::each("a_job_has_the_settings_of_the_trainer", |all| {
        let trainer = all.workload("digits-trainer")?;
        let variables_of_trainer = all.variables(trainer.container())?;
        for workload in all.workloads() {
            let variables = all.variables(workload.container())?;
            if let Some(storage) = variables.get("DIGITS_STORAGE") {
                ensure!(
                    storage == &variables_of_trainer["DIGITS_STORAGE"],
                    "{}: {storage}",
                    workload.name()
                );
            }
        }
        if let Ok(job) = all.workload("digits-job") {
            let (container, of_trainer) = (job.container(), trainer.container());
            ensure!(
                variables(all, job)? == {
                    let mut all = variables(all, trainer)?;
                    all.retain(|(name, _)| !OF_PORTS.iter().any(|of| name.starts_with(of)));
                    all
                }
            );
            ensure!(container["image"] == of_trainer["image"]);
            ensure!(
                container.pointer(GPU) == of_trainer.pointer(GPU),
                "{}: GPU",
                job.name()
            );
            for field in ["nodeSelector", "tolerations"] {
                ensure!(job.pod()[field] == trainer.pod()[field], "{field}");
            }
            let rules = &job.spec()["podFailurePolicy"]["rules"];
            for rule in list(rules).iter().filter_map(|it| it.get("onExitCodes")) {
                ensure!(rule["containerName"] == container["name"], "{rule}");
            }
        }
        Ok(())
    })
}
