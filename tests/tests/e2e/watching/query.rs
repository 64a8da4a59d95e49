//! Sends a dashboard's query to Prometheus as Grafana does.

use crate::support::{
    dashboards::{Query, step},
    prometheus::Prometheus,
};
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Scrape interval of the tests in place of 15 s.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);
/// The time that the dashboards show when they are opened.
const RANGE: Duration = Duration::from_secs(3_600);

/// The request for a query, and the series that it returns.
pub fn run(prometheus: &Prometheus, query: &Query) -> Result<(String, Vec<Value>)> {
    let expression = query.interpolated(RANGE, SCRAPE_INTERVAL);
    let series = if query.instant {
        prometheus.query(&expression)
    } else {
        let step = step(RANGE, SCRAPE_INTERVAL).as_secs_f64();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        // Grafana aligns the range to multiples of the step.
        let to = (now / step).floor() * step;
        prometheus.query_range(&expression, to - RANGE.as_secs_f64(), to, step)
    };
    Ok((expression, series.with_context(|| query.place.clone())?))
}
