//! Rules for what people see on a dashboard: its first screen, colours, names and numbers.

use super::{Dashboard, list, string};
use serde_json::Value;

/// Refresh intervals that are not shorter than the scrape interval of `deploy/prometheus`.
const REFRESH: [&str; 3] = ["15s", "30s", "1m"];
/// Height of what a full-HD screen shows without scrolling, in rows of Grafana's grid.
const FIRST_SCREEN: i64 = 29;
/// Legends whose values have the same colour on every panel.
const MEANINGS: [(&str, [&str; 3]); 2] = [
    ("{{role}}", ["primary", "canary", "shadow"]),
    ("{{state}}", ["succeeded", "failed", "cancelled"]),
];

/// The violations, a line each.
pub fn lint(dashboard: &Dashboard) -> Vec<String> {
    let mut found = first_screen(dashboard);
    if !REFRESH.contains(&string(&dashboard.json, "refresh")) {
        found.push("refreshes faster than Prometheus scrapes".to_owned());
    }
    for panel in dashboard.panels() {
        let title = string(panel, "title");
        let complaints = [
            thresholds(panel),
            rates_and_counts(panel),
            fixed_colours(panel),
            names(panel),
            ended_candidates(panel),
            logarithmic(panel),
        ];
        let complaints = complaints.into_iter().flatten();
        found.extend(complaints.map(|it| format!("panel {title:?} {it}")));
    }
    found
}

/// Firing alerts come first; what does not fit the first screen is in collapsed rows.
fn first_screen(dashboard: &Dashboard) -> Vec<String> {
    let panels = list(&dashboard.json, "/panels");
    let mut found = Vec::new();
    if panels
        .first()
        .is_none_or(|it| it["title"] != "Firing alerts")
    {
        found.push("does not begin with the firing alerts".to_owned());
    }
    for panel in panels {
        let title = string(panel, "title");
        let end = panel["gridPos"]["y"].as_i64().unwrap_or(0)
            + panel["gridPos"]["h"].as_i64().unwrap_or(0);
        if panel["type"] == "row" && panel["collapsed"] != true {
            found.push(format!("row {title:?} is not collapsed"));
        } else if panel["type"] != "row" && end > FIRST_SCREEN {
            found.push(format!("panel {title:?} must be in a collapsed row"));
        }
    }
    found
}

fn expressions(panel: &Value) -> impl Iterator<Item = &str> {
    list(panel, "/targets").iter().map(|it| string(it, "expr"))
}

fn legends(panel: &Value) -> impl Iterator<Item = &str> {
    list(panel, "/targets")
        .iter()
        .map(|it| string(it, "legendFormat"))
}

/// Grafana's default is red from 80.
fn thresholds(panel: &Value) -> Option<&'static str> {
    let steps = list(panel, "/fieldConfig/defaults/thresholds/steps");
    steps
        .is_empty()
        .then_some("has Grafana's default thresholds")
}

/// One axis cannot show both.
fn rates_and_counts(panel: &Value) -> Option<&'static str> {
    if panel["type"] != "timeseries" {
        return None;
    }
    let rates = expressions(panel).filter(|it| it.contains("rate(")).count();
    let mixed = rates > 0 && rates < expressions(panel).count();
    mixed.then_some("shows rates beside counts")
}

fn fixed_colours(panel: &Value) -> Option<&'static str> {
    let overrides = list(panel, "/fieldConfig/overrides");
    let has_colour = |value: &str| {
        overrides.iter().any(|it| {
            string(&it["matcher"], "options").contains(value)
                && list(it, "/properties").iter().any(|it| it["id"] == "color")
        })
    };
    let shown = |legend: &str| legends(panel).any(|it| it == legend);
    let lacks = MEANINGS
        .into_iter()
        .any(|(legend, values)| shown(legend) && !values.into_iter().all(has_colour));
    (panel["type"] == "timeseries" && lacks).then_some("has no fixed colours")
}

/// People know a job by its name; the end of its id tells jobs of one name apart.
fn names(panel: &Value) -> Option<&'static str> {
    let renamed = list(panel, "/transformations")
        .iter()
        .any(|it| it["id"] == "renameByRegex");
    let by_id = legends(panel).any(|it| it.contains("{{job_id}}"));
    let named = legends(panel).all(|it| it.contains("{{name}}"));
    (by_id && !(renamed && named)).then_some("has whole ids in its legend")
}

/// Gauges of a canary or shadow stay at 0 after its end.
fn ended_candidates(panel: &Value) -> Option<&'static str> {
    const GAUGES: [&str; 5] = [
        "digits_inference_live_accuracy_ratio",
        "digits_inference_live_outcomes",
        "digits_inference_checkpoint_validation_accuracy_ratio",
        "digits_inference_drift_labels_ratio",
        "digits_inference_drift_confidence_ratio",
    ];
    let shows_ended = |expression: &str| {
        GAUGES.iter().any(|gauge| expression.contains(gauge))
            && !expression.contains(r#"{role="primary""#)
            && !expression.contains("and on (instance, model, role) digits_inference_model_info")
    };
    expressions(panel)
        .any(shows_ended)
        .then_some("shows roles in which nothing serves any more")
}

/// On a linear axis one run that diverged flattens all others.
fn logarithmic(panel: &Value) -> Option<&'static str> {
    let loss = expressions(panel).any(|it| it.contains("_loss{") && !it.contains("last_over_time"));
    let scale = &panel["fieldConfig"]["defaults"]["custom"]["scaleDistribution"]["type"];
    (loss && scale != "log").then_some("shows losses on a linear axis")
}
