//! Checks `deploy/kubernetes` and `deploy/compose.yaml` beyond their schemas: references resolve,
//! and ports, variables, paths and times are those of the binaries, which are started with the
//! settings of the manifests.

mod binaries;
mod copies;
mod page;
mod reach;
mod rollout;
mod sbom;
mod templates;

use crate::support::{
    manifests::{Manifests, Workload, labels, list, quantity, selects, string},
    metric_names::documented,
};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;

const ALL: [&str; 13] = [
    "base",
    "overlays/local",
    "overlays/gpu",
    "overlays/s3",
    "overlays/s3-jobs",
    "overlays/gpu-jobs",
    "overlays/executor",
    "overlays/full",
    "overlays/signed",
    "examples/aks",
    "examples/eks",
    "examples/gke",
    "examples/minio",
];
/// The pages on operations. The second one has what is about Kubernetes alone.
const PAGES: [&str; 2] = ["docs/operations.md", "docs/kubernetes.md"];
/// Secrets that the operator creates, by the commands in docs/kubernetes.md.
const SECRETS: [&str; 7] = [
    "digits-client",
    "digits-s3",
    "digits-remote-write",
    "digits-signing-key",
    "digits-tls",
    "digits-tokens",
    "digits-trusted-keys",
];

fn each(test: &str, check: impl Fn(&Manifests) -> Result<()>) -> Result<()> {
    for folder in ALL {
        let Some(manifests) = Manifests::build(folder, test)? else {
            return Ok(());
        };
        ensure!(manifests.workloads().count() >= 2, "{folder} has no pair");
        check(&manifests).with_context(|| folder.to_owned())?;
    }
    Ok(())
}

#[test]
fn selectors_match_their_pods() -> Result<()> {
    each("selectors_match_their_pods", |all| {
        for workload in all.workloads() {
            let selector = &workload.object["spec"]["selector"];
            ensure!(
                selects(selector, &workload.labels()),
                "{} does not select its pods",
                workload.name()
            );
            for spread in list(&workload.pod()["topologySpreadConstraints"]) {
                ensure!(selects(&spread["labelSelector"], &workload.labels()));
            }
        }
        for kind in [
            "Service",
            "PodDisruptionBudget",
            "NetworkPolicy",
            "PodMonitor",
        ] {
            for object in all.of(kind) {
                let spec = &object["spec"];
                let selector = spec.get("selector").unwrap_or(&spec["podSelector"]);
                let name = &object["metadata"]["name"];
                let every = name == "deny-all" || name == "names";
                let found = all.selected(selector);
                ensure!(!found.is_empty(), "{kind} {name} selects nothing");
                let narrow = selector.get("matchExpressions").is_some() || found.len() == 1;
                ensure!(every || narrow, "{kind} {name} selects more than one");
                for workload in found {
                    ports_exist(kind, spec, workload).with_context(|| format!("{kind} {name}"))?;
                }
            }
        }
        for object in all.of("HorizontalPodAutoscaler") {
            let target = &object["spec"]["scaleTargetRef"];
            let found = all
                .find(string(&target["kind"]), string(&target["name"]))
                .context("the autoscaler's target is not there")?;
            ensure!(
                found["spec"].get("replicas").is_none(),
                "autoscaler and manifest both set the number of replicas"
            );
            let metric = string(&object["spec"]["metrics"][0]["pods"]["metric"]["name"]);
            ensure!(
                documented("digits_inference_")?.contains_key(metric),
                "there is no metric {metric}"
            );
        }
        Ok(())
    })
}

/// The ports that a Service, a policy or a monitor names, in the pods that it selects.
fn ports_exist(kind: &str, spec: &Value, workload: Workload<'_>) -> Result<()> {
    let ports = workload.ports();
    let ensure_named = |port: &Value| -> Result<u64> {
        let name = string(port);
        let found = ports.get(name).copied();
        found.with_context(|| format!("{} has no port {name:?}", workload.name()))
    };
    match kind {
        "Service" => {
            for port in list(&spec["ports"]) {
                let number = ensure_named(&port["targetPort"])?;
                ensure!(port["port"] == number, "port and targetPort differ");
            }
        }
        "NetworkPolicy" => {
            let rules = list(&spec["ingress"]).iter();
            for port in rules.flat_map(|rule| list(&rule["ports"])) {
                ensure_named(&port["port"])?;
            }
        }
        "PodMonitor" => {
            for endpoint in list(&spec["podMetricsEndpoints"]) {
                ensure_named(&endpoint["port"])?;
            }
        }
        _ => {}
    }
    Ok(())
}

#[test]
fn volumes_claims_and_maps_exist() -> Result<()> {
    each("volumes_claims_and_maps_exist", |all| {
        let mut claimed = BTreeSet::new();
        for workload in all.workloads() {
            let mounts = list(&workload.container()["volumeMounts"]).iter();
            let mounted: BTreeSet<&str> = mounts.map(|mount| string(&mount["name"])).collect();
            ensure!(
                mounted == workload.volumes(),
                "{} mounts {mounted:?} of {:?}",
                workload.name(),
                workload.volumes()
            );
            for volume in list(&workload.pod()["volumes"]) {
                if let Some(claim) = volume.pointer("/persistentVolumeClaim/claimName") {
                    claimed.insert(string(claim));
                }
                if let Some(map) = volume.pointer("/configMap/name") {
                    all.find("ConfigMap", string(map)).context("no ConfigMap")?;
                }
            }
            secrets_are_documented(all, workload)?;
            let account = string(&workload.pod()["serviceAccountName"]);
            let account = all
                .find("ServiceAccount", account)
                .context("no ServiceAccount")?;
            ensure!(account["automountServiceAccountToken"] == false);
        }
        let claims = all.of("PersistentVolumeClaim");
        let claims: BTreeSet<&str> = claims.map(|c| string(&c["metadata"]["name"])).collect();
        ensure!(claims == claimed, "claims {claims:?}, used {claimed:?}");
        Ok(())
    })
}

/// Keys of Secrets: those of variables, and those of files that variables name.
fn secrets_are_documented(all: &Manifests, workload: Workload<'_>) -> Result<()> {
    let container = workload.container();
    let mut named: Vec<(&str, String)> = list(&container["env"])
        .iter()
        .filter_map(|variable| variable.pointer("/valueFrom/secretKeyRef"))
        .map(|it| {
            (
                string(&it["name"]),
                format!("literal={}", string(&it["key"])),
            )
        })
        .collect();
    let variables = all.variables(container)?;
    for volume in list(&workload.pod()["volumes"]) {
        let Some(secret) = volume.pointer("/secret/secretName") else {
            continue;
        };
        let mount = list(&container["volumeMounts"])
            .iter()
            .find(|mount| mount["name"] == volume["name"])
            .context("a Secret that is not mounted")?;
        let folder = format!("{}/", string(&mount["mountPath"]));
        let keys = variables.values().filter_map(|it| it.strip_prefix(&folder));
        let keys: Vec<String> = keys.map(|key| format!("file={key}")).collect();
        ensure!(!keys.is_empty(), "nothing reads {secret}");
        named.extend(keys.into_iter().map(|key| (string(secret), key)));
    }
    let documentation = crate::support::metric_names::text("docs/kubernetes.md")?;
    for (secret, key) in named {
        ensure!(SECRETS.contains(&secret), "{secret} is not documented");
        let command = format!("create secret generic {secret} ");
        let mut lines = documentation.lines().filter(|line| line.contains(&command));
        let given = lines.any(|line| line.contains(&format!("--from-{key}=")));
        ensure!(given, "docs/kubernetes.md: no {command}with {key}");
        let row = format!("| `{secret}` |");
        ensure!(documentation.contains(&row), "docs/kubernetes.md: no {row}");
    }
    Ok(())
}

#[test]
fn readers_cannot_write_the_storage() -> Result<()> {
    each("readers_cannot_write_the_storage", |all| {
        for workload in all.workloads() {
            let backup = workload.name() == "digits-backup";
            if !(backup || workload.name() == "digits-inference") {
                continue;
            }
            for mount in list(&workload.container()["volumeMounts"]) {
                // Volumes of their own.
                let own = match backup {
                    true => mount["name"] == "backups",
                    false => mount["mountPath"] == "/var/lib/digits/state",
                };
                ensure!(own || mount["readOnly"] == true, "{mount} can be written");
            }
        }
        Ok(())
    })
}

#[test]
fn pods_are_restricted_and_sized() -> Result<()> {
    each("pods_are_restricted_and_sized", |all| {
        for workload in all.workloads() {
            let name = workload.name();
            let (pod, container) = (workload.pod(), workload.container());
            let own = &container["securityContext"];
            let restricted = pod["securityContext"]["runAsNonRoot"] == true
                && pod["securityContext"]["runAsUser"] == 65_532
                && pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
                && pod["automountServiceAccountToken"] == false
                && own["allowPrivilegeEscalation"] == false
                && own["readOnlyRootFilesystem"] == true
                && own["capabilities"]["drop"][0] == "ALL";
            ensure!(restricted, "{name} is not restricted");
            let (requests, limits) = (
                &container["resources"]["requests"],
                &container["resources"]["limits"],
            );
            ensure!(quantity(&requests["memory"])? <= quantity(&limits["memory"])?);
            for (_, value) in labels(requests).into_iter().chain(labels(limits)) {
                ensure!(quantity(&Value::String(value))? > 0.0);
            }
        }
        for claim in all.of("PersistentVolumeClaim") {
            ensure!(quantity(&claim["spec"]["resources"]["requests"]["storage"])? > 0.0);
        }
        Ok(())
    })
}
