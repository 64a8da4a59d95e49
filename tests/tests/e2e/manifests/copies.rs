//! Duplicated files agree: the rules for the Prometheus Operator with Prometheus', and compose with
//! Kubernetes.

use crate::support::{
    manifests::{documents, list, string},
    metric_names::{repository, text},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::{env, fs};

const RULES: &str = "deploy/kubernetes/components/monitoring/rules.yaml";

/// The rules file, generated from Prometheus' two files.
fn rules() -> Result<String> {
    let mut made = String::from(
        "# Made of deploy/prometheus/rules.yml and alerts.yml: UPDATE_GOLDEN=1 cargo test -p digits-e2e --test e2e manifests::copies\n\
         apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: digits\n  namespace: digits\n\
         spec:\n  groups:\n",
    );
    for file in [
        "deploy/prometheus/rules.yml",
        "deploy/prometheus/alerts.yml",
    ] {
        let text = text(file)?;
        let (_, groups) = text.split_once("\ngroups:\n").context("groups")?;
        for line in groups.trim_end().lines() {
            let indent = if line.is_empty() { "" } else { "  " };
            made.push_str(&format!("{indent}{line}\n"));
        }
    }
    Ok(made)
}

#[test]
fn the_operators_rules_are_prometheus_rules() -> Result<()> {
    let made = rules()?;
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(repository(RULES), &made)?;
    }
    ensure!(
        text(RULES)? == made,
        "{RULES} differs from deploy/prometheus: renew it with UPDATE_GOLDEN=1"
    );
    let groups = documents(&made)?[0]["spec"]["groups"].clone();
    let alerts = list(&groups).iter().flat_map(|group| list(&group["rules"]));
    ensure!(alerts.filter(|rule| rule.get("alert").is_some()).count() > 10);
    Ok(())
}

#[test]
fn compose_finds_its_files_and_volumes() -> Result<()> {
    let compose = &documents(&text("deploy/compose.yaml")?)?[0];
    let services = compose["services"].as_object().context("services")?;
    for (name, service) in services {
        for volume in list(&service["volumes"]) {
            let source = string(volume).split(':').next().unwrap_or_default();
            let there = if source.starts_with("./") {
                repository("deploy").join(source).exists()
            } else {
                compose["volumes"].get(source).is_some()
            };
            ensure!(there, "{name}: there is no {source}");
        }
        if let Some(file) = service.pointer("/build/dockerfile") {
            ensure!(repository(string(file)).is_file(), "there is no {file}");
        }
    }
    for (service, port) in [("trainer", 9051), ("inference", 9052)] {
        let target = format!("deploy/docker/targets/{service}.yml");
        ensure!(text(&target)?.contains(&format!("[{service}:{port}]")));
        let listen = &services[service]["environment"]["DIGITS_ADMIN_LISTEN"];
        ensure!(listen == &Value::String(format!("[::]:{port}")));
    }
    ensure!(services["inference"]["volumes"][0] == "storage:/var/lib/digits/storage:ro");
    Ok(())
}
