//! Saves the results of the dashboards' queries as JSON, for review without Grafana.

use super::query::run;
use crate::support::{
    dashboards::{Dashboard, all},
    prometheus::Prometheus,
};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::{env, fs, path::PathBuf};

/// Environment variable with the folder; without it nothing is saved.
const DIRECTORY: &str = "DIGITS_EVIDENCE_DIR";
/// Points of a series that are saved: the newest.
const POINTS: usize = 30;

/// Runs every query again, and writes the results to a file for each dashboard.
pub fn keep(prometheus: &Prometheus) -> Result<()> {
    let Some(dir) = env::var_os(DIRECTORY).map(PathBuf::from) else {
        return Ok(());
    };
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    for dashboard in all()? {
        let name = dashboard.path.rsplit('/').next().context("a name")?;
        let mut text = serde_json::to_string_pretty(&of(&dashboard, prometheus)?)?;
        text.push('\n');
        fs::write(dir.join(name), text)?;
    }
    Ok(())
}

fn of(dashboard: &Dashboard, prometheus: &Prometheus) -> Result<Value> {
    let mut queries = Vec::new();
    for query in dashboard.queries() {
        let (sent, answer) = run(prometheus, &query)?;
        let panel = query.place.split_once(": ").map(|(_, panel)| panel);
        queries.push(json!({
            "panel": panel,
            "expression": query.expression,
            "sent": sent,
            "answer": answer.into_iter().map(shortened).collect::<Vec<Value>>(),
        }));
    }
    Ok(json!({ "dashboard": dashboard.json["title"], "queries": queries }))
}

/// A series with its newest points, and the number of earlier ones.
fn shortened(mut series: Value) -> Value {
    if let Some(points) = series.get_mut("values").and_then(Value::as_array_mut) {
        let left_out = points.len().saturating_sub(POINTS);
        points.drain(..left_out);
        if left_out > 0 {
            series["values_left_out"] = left_out.into();
        }
    }
    series
}

#[test]
fn the_newest_points_of_a_long_series_are_kept() {
    let series = |points: usize| {
        let values: Vec<Value> = (0..points).map(|at| json!([at, "1"])).collect();
        json!({"metric": {"role": "primary"}, "values": values})
    };
    assert_eq!(shortened(series(POINTS)), series(POINTS));
    let long = shortened(series(POINTS + 2));
    assert_eq!(long["values"][0][0], 2);
    assert_eq!(long["values"].as_array().map(Vec::len), Some(POINTS));
    assert_eq!(long["values_left_out"], 2);
    let instant = json!({"metric": {}, "value": [1, "1"]});
    assert_eq!(shortened(instant.clone()), instant);
}
