//! The dashboards of `deploy/grafana`: their queries, and the rules of their form. Grafana accepts
//! a dashboard that violates one and shows an empty panel.

mod rules;
mod screen;

pub use rules::lint;

use super::metric_names::text;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::time::Duration;

/// A full-HD panel is about this wide, and Grafana requests a point per pixel.
const PIXELS: u32 = 1_920;

/// A dashboard and its path.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// Its path from the root of the repository.
    pub path: String,
    /// Content of the file.
    pub json: Value,
}

/// A query of a dashboard.
#[derive(Clone, Debug)]
pub struct Query {
    /// The dashboard and the panel or annotation that has it.
    pub place: String,
    /// PromQL with Grafana's variables in it.
    pub expression: String,
    /// Whether it is an instant query.
    pub instant: bool,
}

/// The dashboards, Training and Serving.
///
/// # Errors
/// When a file cannot be read or is not JSON.
pub fn all() -> Result<Vec<Dashboard>> {
    let paths =
        ["training", "serving"].map(|name| format!("deploy/grafana/dashboards/{name}.json"));
    let read = |path: String| {
        let json = serde_json::from_str(&text(&path)?).with_context(|| path.clone())?;
        Ok(Dashboard { path, json })
    };
    paths.into_iter().map(read).collect()
}

/// The elements of a list, none where there is no list.
fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The text at a key, empty where there is none.
fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

impl Dashboard {
    /// Panels that show something, those within rows as well.
    #[must_use]
    pub fn panels(&self) -> Vec<&Value> {
        let all = list(&self.json, "/panels");
        all.iter()
            .flat_map(|panel| [panel].into_iter().chain(list(panel, "/panels")))
            .filter(|panel| panel["type"] != "row")
            .collect()
    }

    /// Variables.
    #[must_use]
    pub fn variables(&self) -> &[Value] {
        list(&self.json, "/templating/list")
    }

    /// Annotations that are queries.
    #[must_use]
    pub fn annotations(&self) -> Vec<&Value> {
        let all = list(&self.json, "/annotations/list").iter();
        all.filter(|one| one["builtIn"] != 1).collect()
    }

    /// Queries of panels and annotations.
    #[must_use]
    pub fn queries(&self) -> Vec<Query> {
        let panels = self.panels().into_iter().flat_map(|panel| {
            let targets = list(panel, "/targets").iter();
            targets.map(move |target| {
                (
                    format!("{} {}", string(panel, "title"), string(target, "refId")),
                    target,
                )
            })
        });
        let annotations = self.annotations().into_iter();
        let annotations = annotations.map(|one| (string(one, "name").to_owned(), one));
        panels
            .chain(annotations)
            .map(|(place, query)| Query {
                place: format!("{}: {place}", self.path),
                expression: string(query, "expr").to_owned(),
                instant: query["instant"] == true,
            })
            .collect()
    }
}

impl Query {
    /// The query as Grafana sends it: its own variables replaced by their values, the dashboard's
    /// by "all".
    #[must_use]
    pub fn interpolated(&self, range: Duration, scrape_interval: Duration) -> String {
        let step = step(range, scrape_interval);
        let rate_interval = (step + scrape_interval).max(4 * scrape_interval);
        self.expression
            .replace(
                "$__rate_interval",
                &format!("{}ms", rate_interval.as_millis()),
            )
            .replace("$__range", &format!("{}s", range.as_secs()))
            .replace("$job_id", ".+")
            .replace("$model", ".+")
            .replace("$instance", ".+")
    }
}

/// The step of Grafana's query for a full-HD panel: a point a pixel, rounded, and not less than the
/// interval of the data source (`rangeutil.calculateInterval` and `roundInterval` of
/// grafana/packages/grafana-data).
#[must_use]
pub fn step(range: Duration, scrape_interval: Duration) -> Duration {
    const ROUNDED_MS: [(u128, u64); 17] = [
        (10, 1),
        (15, 10),
        (35, 20),
        (75, 50),
        (150, 100),
        (350, 200),
        (750, 500),
        (1_500, 1_000),
        (3_500, 2_000),
        (7_500, 5_000),
        (12_500, 10_000),
        (17_500, 15_000),
        (25_000, 20_000),
        (45_000, 30_000),
        (90_000, 60_000),
        (210_000, 120_000),
        (450_000, 300_000),
    ];
    let exact = (range / PIXELS).as_millis();
    let rounded = ROUNDED_MS.iter().find(|(below, _)| exact < *below);
    let rounded = rounded.map_or(600_000, |(_, rounded)| *rounded);
    Duration::from_millis(rounded).max(scrape_interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_grafana() {
        let scrape = Duration::from_secs(15);
        for (range_s, expected_s) in [(300, 15), (3_600, 15), (86_400, 60), (7 * 86_400, 300)] {
            let step = step(Duration::from_secs(range_s), scrape);
            assert_eq!(step, Duration::from_secs(expected_s), "{range_s} s");
        }
        let short = step(Duration::from_secs(3), Duration::ZERO);
        assert_eq!(short, Duration::from_millis(1));
    }

    #[test]
    fn variables_are_replaced() {
        let query = Query {
            place: String::new(),
            expression: r#"rate(x{job_id=~"$job_id"}[$__rate_interval]) + y[$__range]"#.to_owned(),
            instant: false,
        };
        let sent = query.interpolated(Duration::from_secs(3_600), Duration::from_secs(15));
        assert_eq!(sent, r#"rate(x{job_id=~".+"}[60000ms]) + y[3600s]"#);
    }
}
