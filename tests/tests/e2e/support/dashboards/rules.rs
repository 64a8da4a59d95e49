//! Rules for dashboards that Grafana does not enforce.

use super::{Dashboard, list, screen, string};
use crate::support::metric_names::unknown;
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeSet;

/// Panel types that Grafana has removed or migrates when it loads them.
const RETIRED: [&str; 8] = [
    "graph",
    "singlestat",
    "table-old",
    "grafana-piechart-panel",
    "grafana-singlestat-panel",
    "grafana-worldmap-panel",
    "alertlist-old",
    "pluginlist",
];
/// Ranges that a query may use.
const RANGES: [&str; 2] = ["$__rate_interval", "$__range"];
/// Columns of Grafana's grid.
const COLUMNS: i64 = 24;

/// The violations, a line each, of each dashboard and of all together.
///
/// # Errors
/// When the page of the metrics cannot be read.
pub fn lint(dashboards: &[Dashboard], recorded: &BTreeSet<String>) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for dashboard in dashboards {
        let others = dashboards
            .iter()
            .filter(|other| other.path != dashboard.path);
        let mut found = identity(dashboard);
        found.extend(data_source(dashboard));
        found.extend(links(dashboard, others));
        found.extend(annotations(dashboard));
        found.extend(dashboard.panels().into_iter().flat_map(panel));
        found.extend(grid(list(&dashboard.json, "/panels")));
        let rows = list(&dashboard.json, "/panels").iter();
        found.extend(rows.flat_map(|row| grid(list(row, "/panels"))));
        found.extend(screen::lint(dashboard));
        found.extend(queries(dashboard));
        found.extend(
            metrics(dashboard, recorded)?
                .into_iter()
                .map(|name| format!("{name} is not exported")),
        );
        complaints.extend(
            found
                .into_iter()
                .map(|it| format!("{}: {it}", dashboard.path)),
        );
    }
    let uids: BTreeSet<&str> = dashboards
        .iter()
        .map(|it| string(&it.json, "uid"))
        .collect();
    if uids.len() < dashboards.len() {
        complaints.push("two dashboards have one uid".to_owned());
    }
    Ok(complaints)
}

/// Links and provisioning use the uid; an id belongs to one Grafana's database.
fn identity(dashboard: &Dashboard) -> Vec<String> {
    let json = &dashboard.json;
    let uid = string(json, "uid");
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let mut found = Vec::new();
    if uid.is_empty() || uid.len() > 40 || !uid.bytes().all(good) {
        found.push(format!(
            "uid {uid:?} must be fixed: 1 to 40 of a-z, 0-9, `-`"
        ));
    }
    if json.get("id").is_some() {
        found.push("has an id".to_owned());
    }
    if json["graphTooltip"] != 1 {
        found.push("graphTooltip must be 1, a crosshair over all panels".to_owned());
    }
    if string(json, "title").is_empty() {
        found.push("has no title".to_owned());
    }
    found
}

/// Provisioning does not fill `__inputs`, so the data source is a variable that every query uses.
fn data_source(dashboard: &Dashboard) -> Vec<String> {
    let json = &dashboard.json;
    let mut found = Vec::new();
    for export in ["__inputs", "__requires", "__elements"] {
        if json.get(export).is_some() {
            found.push(format!("has {export}, which provisioning does not fill"));
        }
    }
    let named = |variable: &Value| {
        variable["name"] == "datasource"
            && variable["type"] == "datasource"
            && variable["query"] == "prometheus"
    };
    if !dashboard.variables().iter().any(named) {
        found.push("has no variable datasource for Prometheus".to_owned());
    }
    let panels = dashboard.panels();
    let targets = panels.iter().flat_map(|panel| list(panel, "/targets"));
    let queried = dashboard
        .variables()
        .iter()
        .filter(|variable| variable["type"] == "query");
    let all = panels.iter().copied().chain(targets).chain(queried);
    for one in all.chain(dashboard.annotations()) {
        if one["datasource"]["uid"] != "${datasource}" || one["datasource"]["type"] != "prometheus"
        {
            let title = ["title", "refId", "name"]
                .map(|key| string(one, key))
                .concat();
            found.push(format!("{title}: its datasource must be ${{datasource}}"));
        }
    }
    found
}

fn links<'a>(dashboard: &Dashboard, others: impl Iterator<Item = &'a Dashboard>) -> Vec<String> {
    let links = list(&dashboard.json, "/links");
    let leads_to = |uid: &str| {
        let address = format!("/d/{uid}");
        links.iter().any(|link| {
            let path = string(link, "url").split('?').next();
            path == Some(address.as_str())
        })
    };
    others
        .map(|other| string(&other.json, "uid"))
        .filter(|uid| !leads_to(uid))
        .map(|uid| format!("has no link to {uid}"))
        .collect()
}

/// Marks stand at the time that the metric has as its value, not at the scrape after it.
fn annotations(dashboard: &Dashboard) -> Vec<String> {
    let annotations = dashboard.annotations();
    let wanted = [
        (
            "hot loads",
            "digits_inference_serving_since_timestamp_seconds",
        ),
        (
            "promotions",
            "digits_inference_serving_record_timestamp_seconds",
        ),
    ];
    wanted
        .into_iter()
        .filter(|(_, metric)| {
            !annotations
                .iter()
                .any(|one| string(one, "expr").contains(metric) && one["useValueForTime"] == true)
        })
        .map(|(what, metric)| format!("has no annotation of {what} at the time in {metric}"))
        .collect()
}

fn panel(panel: &Value) -> Vec<String> {
    let title = string(panel, "title");
    let mut found = Vec::new();
    for (what, missing) in [
        ("title", title.is_empty()),
        ("description", string(panel, "description").is_empty()),
        (
            "unit",
            string(&panel["fieldConfig"]["defaults"], "unit").is_empty(),
        ),
        ("query", list(panel, "/targets").is_empty()),
    ] {
        if missing {
            found.push(format!("panel {title:?} has no {what}"));
        }
    }
    let kind = string(panel, "type");
    if kind.is_empty() || RETIRED.contains(&kind) {
        found.push(format!("panel {title:?} is of the retired type {kind:?}"));
    }
    let refs = list(panel, "/targets")
        .iter()
        .map(|target| string(target, "refId"));
    if refs.clone().collect::<BTreeSet<&str>>().len() < refs.count() {
        found.push(format!("panel {title:?} has two queries of one refId"));
    }
    found
}

/// Panels have unique ids and do not overlap.
fn grid(panels: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    let mut before: Vec<(i64, [i64; 4])> = Vec::new();
    for panel in panels {
        let title = string(panel, "title");
        let place = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_i64().unwrap_or(-1));
        let [x, y, w, h] = place;
        if x < 0 || y < 0 || w < 1 || h < 1 || x + w > COLUMNS {
            found.push(format!("panel {title:?} lies outside the grid"));
        }
        let id = panel["id"].as_i64().unwrap_or(0);
        for (other, [x2, y2, w2, h2]) in &before {
            if *other == id {
                found.push(format!("panel {title:?} has the id of another"));
            }
            if x < x2 + w2 && *x2 < x + w && y < y2 + h2 && *y2 < y + h {
                found.push(format!("panel {title:?} lies over another"));
            }
        }
        before.push((id, place));
    }
    found
}

/// A fixed range is too long for a short view and too short for a month. Unknown variables are sent
/// unreplaced.
fn queries(dashboard: &Dashboard) -> Vec<String> {
    let mut found = Vec::new();
    for query in dashboard.queries() {
        let place = &query.place;
        let ranges = query.expression.split('[').skip(1);
        for range in ranges.filter_map(|rest| rest.split(']').next()) {
            if !RANGES.contains(&range) {
                found.push(format!("{place}: [{range}] must be [$__rate_interval]"));
            }
        }
        if query.expression.is_empty() {
            found.push(format!("{place} is empty"));
        }
        for name in query.expression.split('$').skip(1) {
            let name = name.trim_start_matches('{');
            let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = &name[..end.unwrap_or(name.len())];
            let defined = dashboard.variables().iter().any(|it| it["name"] == name);
            if !defined && !name.starts_with("__") {
                found.push(format!("{place}: there is no variable {name}"));
            }
        }
    }
    found
}

fn metrics(dashboard: &Dashboard, recorded: &BTreeSet<String>) -> Result<Vec<String>> {
    let queries = dashboard.queries();
    let queries = queries.iter().map(|query| query.expression.as_str());
    let variables = dashboard
        .variables()
        .iter()
        .map(|it| string(it, "definition"));
    let all: Vec<&str> = queries.chain(variables).collect();
    unknown(&all.join("\n"), recorded)
}
