//! The files of `deploy/prometheus`: promtool accepts them and runs their unit tests. Each alert
//! has unit tests and a section in the runbook, and reads only metrics that exist and whose absence
//! another alert reports.

use crate::support::{
    metric_names::{mentioned, recorded, repository, text, unknown},
    prometheus,
};
use anyhow::{Context as _, Result, ensure};
use std::process::Command;

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const TESTS: &str = "deploy/prometheus/alerts.test.yml";
/// Metrics that exist only after an event, so that their absence is no fault.
const MADE_BY_REQUESTS: [&str; 2] = [
    "digits_inference_grpc_requests_total",
    "digits_trainer_job_state",
];

/// Name and text of every alert.
fn alerts() -> Result<Vec<(String, String)>> {
    let text = text(ALERTS)?;
    let alerts: Vec<(String, String)> = text
        .split("- alert: ")
        .skip(1)
        .filter_map(|alert| alert.split_once('\n'))
        .map(|(name, rest)| (name.trim().to_owned(), rest.to_owned()))
        .collect();
    ensure!(alerts.len() > 10, "{ALERTS} has {} alerts", alerts.len());
    Ok(alerts)
}

#[test]
fn promtool_accepts_the_files_and_their_unit_tests() -> Result<()> {
    let name = "promtool_accepts_the_files_and_their_unit_tests";
    let Some(promtool) = prometheus::program("promtool", name) else {
        return Ok(());
    };
    let commands: [&[&str]; 3] = [
        &["check", "config", "prometheus.yml"],
        &["check", "rules", "rules.yml", "alerts.yml"],
        &["test", "rules", "alerts.test.yml"],
    ];
    for arguments in commands {
        let output = Command::new(&promtool)
            .args(arguments)
            .current_dir(repository("deploy/prometheus"))
            .output()?;
        assert!(
            output.status.success(),
            "promtool {arguments:?}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

#[test]
fn every_alert_links_to_its_section_of_the_runbook() -> Result<()> {
    let runbook = text("docs/runbook.md")?;
    let sections: Vec<&str> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let alerts = alerts()?;
    for (name, alert) in &alerts {
        let link = format!("runbook_url: docs/runbook.md#{}\n", name.to_lowercase());
        assert!(alert.contains(&link), "{name} has no {link}");
        assert!(
            sections.contains(&name.as_str()),
            "{name} has no section in docs/runbook.md"
        );
    }
    for section in sections {
        assert!(
            alerts.iter().any(|(name, _)| name == section),
            "docs/runbook.md: there is no alert {section}"
        );
    }
    Ok(())
}

#[test]
fn every_alert_has_a_test_that_fires_and_one_that_does_not() -> Result<()> {
    let tests = text(TESTS)?;
    for (name, _) in alerts()? {
        let expectations: Vec<&str> = tests
            .split(&format!("alertname: {name}\n"))
            .skip(1)
            .map(|rest| rest.lines().next().unwrap_or_default().trim())
            .collect();
        assert!(
            expectations.contains(&"exp_alerts:"),
            "{TESTS}: {name} never fires"
        );
        assert!(
            expectations.contains(&"exp_alerts: []"),
            "{TESTS}: no test shows when {name} does not fire"
        );
    }
    Ok(())
}

#[test]
fn rules_read_only_exported_metrics() -> Result<()> {
    let recorded = recorded()?;
    for file in [
        "deploy/prometheus/rules.yml",
        ALERTS,
        TESTS,
        "docs/runbook.md",
    ] {
        let unknown = unknown(&text(file)?, &recorded)?;
        assert!(unknown.is_empty(), "{file}: {unknown:?} is not exported");
    }
    Ok(())
}

/// An alert on a renamed metric would never fire; three alerts report missing metrics.
#[test]
fn a_missing_metric_of_an_alert_fires_another_alert() -> Result<()> {
    let rules = text("deploy/prometheus/rules.yml")?;
    let alerts = alerts()?;
    let absences: Vec<String> = alerts
        .iter()
        .flat_map(|(_, alert)| alert.split("absent(").skip(1))
        .map(|rest| rest.split([')', '{']).next().unwrap_or_default().to_owned())
        .collect();
    let watched = |name: &str| {
        let histogram = name.strip_suffix("_bucket").unwrap_or(name);
        let same =
            |absence: &String| absence == name || absence.strip_suffix("_count") == Some(histogram);
        absences.iter().any(same) || MADE_BY_REQUESTS.contains(&name)
    };
    for (alert, text) in &alerts {
        let mut names = mentioned(text);
        // A recorded metric depends on the metrics of its expression.
        for name in mentioned(text).iter().filter(|name| name.contains(':')) {
            let rule = rules.split(&format!("- record: {name}\n")).nth(1);
            let rule = rule.with_context(|| format!("{alert}: no rule records {name}"))?;
            names.extend(mentioned(
                rule.split("- record: ").next().unwrap_or_default(),
            ));
            names.remove(name);
        }
        for name in names {
            assert!(
                watched(&name),
                "{alert} reads {name}, and no alert has absent({name})"
            );
        }
    }
    Ok(())
}
