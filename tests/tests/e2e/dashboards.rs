//! Checks the dashboards of `deploy/grafana` against the rules in `support/dashboards/rules.rs`,
//! and each rule against a violation.

use crate::support::{
    dashboards::{all, lint},
    metric_names::{recorded, text},
};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

#[test]
fn dashboards_follow_the_rules() -> Result<()> {
    let complaints = lint(&all()?, &recorded()?)?;
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

/// A value of the first dashboard, its replacement (null removes it), and the expected message.
const BROKEN: [(&str, &str, &str); 34] = [
    ("/uid", "null", "uid"),
    ("/uid", r#""Has Blanks""#, "uid"),
    ("/uid", r#""digits-serving""#, "one uid"),
    ("/id", "17", "has an id"),
    ("/graphTooltip", "0", "graphTooltip"),
    ("/title", "null", "title"),
    ("/__inputs", "[]", "__inputs"),
    (
        "/templating/list/0",
        r#"{"name": "other"}"#,
        "variable datasource",
    ),
    (
        "/templating/list/1/datasource/uid",
        r#""abc""#,
        "datasource must be",
    ),
    ("/templating/list/1/name", r#""job""#, "no variable job_id"),
    (
        "/annotations/list/1/datasource/uid",
        r#""abc""#,
        "datasource must be",
    ),
    (
        "/annotations/list/1/expr",
        r#""up""#,
        "annotation of hot loads",
    ),
    (
        "/annotations/list/2/expr",
        r#""up""#,
        "annotation of promotions",
    ),
    (
        "/annotations/list/1/useValueForTime",
        "false",
        "annotation of hot loads",
    ),
    ("/refresh", r#""5s""#, "refreshes faster"),
    ("/panels/0/title", r#""Alerts""#, "does not begin with"),
    ("/panels/9/gridPos/h", "30", "must be in a collapsed row"),
    ("/panels/11/collapsed", "false", "is not collapsed"),
    (
        "/panels/2/fieldConfig/defaults/thresholds",
        "null",
        "default thresholds",
    ),
    (
        "/panels/13/panels/0/fieldConfig/overrides",
        "[]",
        "no fixed colours",
    ),
    ("/panels/6/transformations", "[]", "whole ids"),
    (
        "/panels/6/fieldConfig/defaults/custom/scaleDistribution",
        "null",
        "linear axis",
    ),
    (
        "/panels/13/panels/1/targets/0/expr",
        r#""sum(rate(digits_trainer_samples_total[$__rate_interval]))""#,
        "rates beside counts",
    ),
    ("/links", "[]", "no link to digits-serving"),
    ("/panels/2/datasource", "null", "datasource must be"),
    (
        "/panels/2/targets/0/datasource/uid",
        r#""abc""#,
        "datasource must be",
    ),
    ("/panels/2/description", "null", "no description"),
    ("/panels/2/fieldConfig/defaults/unit", "null", "no unit"),
    ("/panels/2/targets", "[]", "no query"),
    ("/panels/2/type", r#""graph""#, "retired"),
    ("/panels/2/gridPos/x", "22", "outside the grid"),
    ("/panels/3/gridPos/x", "0", "over another"),
    ("/panels/3/id", "2", "id of another"),
    ("/panels/9/targets/1/refId", r#""A""#, "one refId"),
];

#[test]
fn each_rule_detects_its_violation() -> Result<()> {
    let (dashboards, recorded) = (all()?, recorded()?);
    let queries = [
        (
            r#""rate(digits_trainer_samples_total[5m])""#,
            "must be [$__rate_interval]",
        ),
        (
            r#""rate(digits_trainer_samples_total[$__interval])""#,
            "must be [$__rate_interval]",
        ),
        (r#""digits_trainer_nothing""#, "not exported"),
        (r#""job:digits_trainer_nothing:rate5m""#, "not exported"),
        (
            r#""digits_trainer_jobs{job=~\"$jobs\"}""#,
            "no variable jobs",
        ),
        (r#""""#, "is empty"),
    ];
    let queries = queries.map(|(query, expected)| ("/panels/2/targets/0/expr", query, expected));
    for (pointer, value, expected) in BROKEN.into_iter().chain(queries) {
        let mut broken = dashboards.clone();
        put(&mut broken[0].json, pointer, serde_json::from_str(value)?)?;
        let complaints = lint(&broken, &recorded)?;
        assert!(
            complaints
                .iter()
                .any(|complaint| complaint.contains(expected)),
            "{pointer} = {value}: {complaints:?}"
        );
    }
    Ok(())
}

fn put(json: &mut Value, pointer: &str, value: Value) -> Result<()> {
    let (parent, key) = pointer.rsplit_once('/').context("a pointer")?;
    match json
        .pointer_mut(parent)
        .with_context(|| pointer.to_owned())?
    {
        Value::Object(object) if value.is_null() => {
            object.remove(key).with_context(|| pointer.to_owned())?;
        }
        Value::Object(object) => {
            object.insert(key.to_owned(), value);
        }
        Value::Array(list) => list[key.parse::<usize>()?] = value,
        other => anyhow::bail!("{pointer}: {other} has no parts"),
    }
    Ok(())
}

#[test]
fn the_rules_apply_to_panels_in_collapsed_rows() -> Result<()> {
    let (mut dashboards, recorded) = (all()?, recorded()?);
    let folded = json!([{"type": "graph", "title": "folded"}]);
    put(&mut dashboards[0].json, "/panels/10/panels", folded)?;
    let complaints = lint(&dashboards, &recorded)?;
    assert!(
        complaints
            .iter()
            .any(|it| it.contains("\"folded\" is of the retired type")),
        "{complaints:?}"
    );
    Ok(())
}

/// `$__rate_interval` is computed from the data source's timeInterval, which must be the scrape
/// interval.
#[test]
fn the_data_source_has_the_scrape_interval() -> Result<()> {
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
        line.map(|value| value.trim().to_owned())
    };
    let prometheus = text("deploy/prometheus/prometheus.yml")?;
    let source = text("deploy/grafana/provisioning/datasources/prometheus.yml")?;
    let scraped = value(&prometheus, "scrape_interval:");
    assert!(scraped.is_some());
    assert_eq!(value(&source, "timeInterval:"), scraped);
    Ok(())
}
