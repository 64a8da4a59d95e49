//! Checks the pages on operations: their overlays build, their settings for other operators fit the
//! manifests, their commands name what exists, and the tables of the dashboards have every row and
//! every alert.

use super::{PAGES, SECRETS, reach};
use crate::support::{
    manifests::{Manifests, documents, list, string},
    metric_names::{documented, repository, text},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

/// Blocks of YAML, as they stand there.
fn blocks() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for page in PAGES {
        let page = text(page)?;
        let blocks = page.split("\n```yaml\n").skip(1);
        let blocks = blocks.filter_map(|rest| rest.split("\n```").next());
        found.extend(blocks.map(|block| format!("{block}\n")));
    }
    Ok(found)
}

/// Kustomize takes no absolute path.
fn overlays_from(folder: &Path) -> String {
    let up = "../".repeat(folder.components().count() - 1);
    let overlays = repository("deploy/kubernetes/overlays");
    format!(
        "{up}{}",
        overlays.display().to_string().trim_start_matches('/')
    )
}

#[test]
fn overlays_of_the_page_are_built() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().canonicalize()?;
    let mut built = 0;
    for block in blocks()? {
        if !block.starts_with("resources: [../") {
            continue;
        }
        let overlays = overlays_from(&folder);
        let moved = block.replace("[../", &format!("[{overlays}/"));
        fs::write(folder.join("kustomization.yaml"), moved)?;
        let path = folder.display().to_string();
        let Some(all) = Manifests::build(&path, "overlays_of_the_page_are_built")? else {
            return Ok(());
        };
        reach::addresses(&all).context(block)?;
        built += 1;
    }
    ensure!(built >= 3, "{built} overlays");
    Ok(())
}

#[test]
fn settings_for_other_operators_name_existing_objects() -> Result<()> {
    let metrics = documented("digits_inference_")?;
    let read = text("deploy/kubernetes/components/autoscaling/autoscaler.yaml")?;
    let scaler = &documents(&read)?[0];
    let metric = string(&scaler["spec"]["metrics"][0]["pods"]["metric"]["name"]).to_owned();
    ensure!(metrics.contains_key(&metric), "there is no {metric}");
    let mut found = Vec::new();
    for block in blocks()? {
        for document in documents(&block)? {
            if let Some(query) = document.pointer("/0/seriesQuery") {
                ensure!(string(query).starts_with(&format!("{metric}{{")), "{query}");
                found.push("prometheus-adapter".to_owned());
            }
            found.push(string(&document["kind"]).to_owned());
            match string(&document["kind"]) {
                "ScaledObject" => like_the_autoscaler(&document["spec"], scaler, &metric)?,
                "LocalQueue" => {
                    let job = text("deploy/kubernetes/components/jobs/job.yaml")?;
                    let queue = string(&document["metadata"]["name"]);
                    let label = format!("kueue.x-k8s.io/queue-name: {queue}\n");
                    ensure!(job.contains(&label), "{label}");
                }
                _ => {}
            }
        }
    }
    for wanted in ["prometheus-adapter", "ScaledObject", "LocalQueue"] {
        ensure!(found.iter().any(|it| it == wanted), "no {wanted}");
    }
    Ok(())
}

#[test]
fn commands_name_existing_objects() -> Result<()> {
    let Some(full) = Manifests::build("overlays/full", "commands_name_existing_objects")? else {
        return Ok(());
    };
    let mut found = BTreeSet::new();
    for page in PAGES.into_iter().chain(["README.md", "docs/runbook.md"]) {
        let page = text(page)?;
        for line in page.lines() {
            for command in line.split("kubectl --namespace ").skip(1) {
                let command = command.split(['`', '|', '#']).next().unwrap_or_default();
                let (namespace, rest) = command.split_once(' ').context("a command")?;
                ensure!(full.find("Namespace", namespace).is_some(), "{command}");
                if let Some(secret) = rest.strip_prefix("create secret generic ") {
                    let name = secret.split(' ').next().unwrap_or_default();
                    ensure!(SECRETS.contains(&name), "{command}: no Secret {name}");
                    found.insert("Secret");
                }
                for (kind, name) in rest.split_whitespace().filter_map(|it| it.split_once('/')) {
                    let kind = match kind.trim_start_matches("--from=") {
                        "deployment" => "Deployment",
                        "statefulset" => "StatefulSet",
                        "cronjob" => "CronJob",
                        // A file.
                        _ => continue,
                    };
                    ensure!(
                        full.find(kind, name).is_some(),
                        "{command}: no {kind} {name}"
                    );
                    found.insert(kind);
                }
            }
        }
    }
    assert_eq!(
        found,
        BTreeSet::from(["CronJob", "Deployment", "Secret", "StatefulSet"])
    );
    Ok(())
}

/// Such a command becomes the owner of what it changes, and the next `apply` may be refused.
#[test]
fn commands_that_take_a_field_from_apply_are_in_the_table_of_owners() -> Result<()> {
    const TAKE: [&str; 8] = [
        "annotate",
        "autoscale",
        "edit",
        "patch",
        "rollout restart",
        "rollout undo",
        "scale",
        "set",
    ];
    let manual = text("docs/kubernetes.md")?;
    let mut found = BTreeSet::new();
    for page in PAGES.into_iter().chain(["README.md", "docs/runbook.md"]) {
        let page = text(page)?;
        for command in page.split("kubectl --namespace digits ").skip(1) {
            let taking = TAKE.into_iter().find(|it| {
                let rest = command.strip_prefix(it);
                rest.is_some_and(|rest| rest.starts_with(' '))
            });
            if let Some(taking) = taking {
                ensure!(
                    manual.contains(&format!("\n| `{taking}` |")),
                    "no row for {taking}"
                );
                found.insert(taking);
            }
        }
    }
    ensure!(found.len() >= 3, "{found:?}");
    ensure!(manual.contains("kubectl apply --server-side --force-conflicts "));
    Ok(())
}

#[test]
fn every_row_and_every_alert_is_in_the_chapter_on_dashboards() -> Result<()> {
    let page = text("docs/operations.md")?;
    let chapter = page.split("\n## Read the dashboards\n").nth(1);
    let chapter = chapter.context("the chapter")?;
    let chapter = chapter.split("\n## ").next().unwrap_or_default();
    for (file, title) in [("training", "Training"), ("serving", "Serving")] {
        let board = text(&format!("deploy/grafana/dashboards/{file}.json"))?;
        let board: Value = serde_json::from_str(&board)?;
        let section = chapter.split(&format!("### Digits / {title}\n")).nth(1);
        let section = section.context(title)?.split("\n### ").next();
        let section = section.unwrap_or_default();
        let rows = list(&board["panels"])
            .iter()
            .filter(|it| it["type"] == "row");
        for row in rows.map(|row| string(&row["title"])) {
            ensure!(section.contains(&format!("\n| {row} |")), "{title}: {row}");
        }
    }
    let rules = &documents(&text("deploy/prometheus/alerts.yml")?)?[0];
    let rules = list(&rules["groups"])
        .iter()
        .flat_map(|it| list(&it["rules"]));
    let mut alerts: Vec<&str> = rules.map(|rule| string(&rule["alert"])).collect();
    let words = chapter.split(|c: char| !c.is_ascii_alphanumeric());
    let mut named: Vec<&str> = words
        .filter(|word| word.starts_with("Digits") && *word != "Digits")
        .collect();
    alerts.sort_unstable();
    named.sort_unstable();
    named.dedup();
    assert_eq!(alerts, named);
    Ok(())
}

/// KEDA's object scales the same workload by the same metric.
fn like_the_autoscaler(keda: &Value, scaler: &Value, metric: &str) -> Result<()> {
    let spec = &scaler["spec"];
    ensure!(keda["scaleTargetRef"]["name"] == spec["scaleTargetRef"]["name"]);
    ensure!(keda["minReplicaCount"] == spec["minReplicas"]);
    ensure!(keda["maxReplicaCount"] == spec["maxReplicas"]);
    let trigger = &keda["triggers"][0]["metadata"];
    ensure!(string(&trigger["query"]).contains(metric));
    let target = &spec["metrics"][0]["pods"]["target"]["averageValue"];
    ensure!(&trigger["threshold"] == target);
    Ok(())
}
