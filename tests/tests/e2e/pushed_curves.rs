//! Pushes the curves of a one-second job to a Prometheus, which then has every point.

use crate::support::{http, metric_names, mnist, prometheus, prometheus::Prometheus};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{CurveRow, JobState};
use digits_testing::{patience, until};
use serde_json::Value;
use std::{collections::BTreeSet, process::Command};

/// A small job, as `digits-trainer run` reads it.
const JOB: &str = r#"{
    "preset": "notebook",
    "data": {
        "dataset": "synthetic",
        "counts": {"train": 2000, "validation": 500},
        "synthetic": {"trainImages": 2500, "testImages": 500, "seed": 1}
    },
    "epochs": 3
}"#;

/// A value of a row.
type Figure = fn(&CurveRow) -> f64;

/// The pushed series of a job, and their values of a row.
const SERIES: [(&str, Figure); 6] = [
    ("train_loss", |row| row.train_loss),
    ("validation_loss", |row| {
        row.validation.map_or(f64::NAN, |it| it.loss)
    }),
    ("validation_accuracy_ratio", |row| {
        row.validation.map_or(f64::NAN, |it| it.accuracy)
    }),
    ("learning_rate", |row| row.learning_rate),
    ("samples_per_second", |row| row.samples_per_second),
    ("step", |row| row.step as f64),
];

/// Value and time in milliseconds of every sample of a pushed series.
fn samples(prometheus: &Prometheus, name: &str, job: &str) -> Result<Vec<(f64, i64)>> {
    let found = prometheus.query(&format!("{name}{{job_id=\"{job}\"}}[1h]"))?;
    let Some(series) = found.first() else {
        return Ok(Vec::new());
    };
    ensure!(found.len() == 1, "{name}: {} series", found.len());
    let values = series["values"].as_array().context("samples")?;
    let sample = |pair: &Value| {
        let value = pair[1].as_str()?.parse().ok()?;
        Some((value, (pair[0].as_f64()? * 1e3).round() as i64))
    };
    values
        .iter()
        .map(|pair| sample(pair).with_context(|| pair.to_string()))
        .collect()
}

/// Each series of a job has the points of its rows, once, each with the time of its row, and ends.
async fn all_are_pushed(prometheus: &Prometheus, job: &str, rows: &[CurveRow]) -> Result<()> {
    for (name, value) in SERIES {
        let name = format!("digits_trainer_curve_{name}");
        let found = until(&name, async || {
            let found = samples(prometheus, &name, job)?;
            Ok((found.len() >= rows.len()).then_some(found))
        })
        .await?;
        let values: Vec<f64> = found.iter().map(|(value, _)| *value).collect();
        assert_eq!(
            values,
            rows.iter().map(value).collect::<Vec<f64>>(),
            "{name}"
        );
        for ((_, at_ms), row) in found.iter().zip(rows) {
            let time = row.at.context("a time")?;
            let time_ms = time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000;
            // Points of the same millisecond get the following ones.
            assert!((0..=50).contains(&(at_ms - time_ms)), "{at_ms} {time_ms}");
        }
        // A stale marker ends the series; it may come with a later push.
        until("the end", async || {
            let drawn = prometheus.query(&format!("{name}{{job_id=\"{job}\"}}"))?;
            Ok(drawn.is_empty().then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_point_of_a_short_job_is_in_prometheus() -> Result<()> {
    let name = "every_point_of_a_short_job_is_in_prometheus";
    let Some(program) = prometheus::program("prometheus", name) else {
        return Ok(());
    };
    let (spec, points) = match mnist::for_test(name) {
        Some(_) => (specs::notebook(), Some(45)),
        None => (specs::synthetic(20), None),
    };
    let mut sandbox = Sandbox::new(patience())?;
    let prometheus = Prometheus::start(&program, sandbox.dir()).await?;
    sandbox
        .start_trainer(&["--remote-write", &prometheus.remote_write()])
        .await?;
    let mut training = sandbox.training().await?;
    let job = jobs::run(&mut training, spec).await?.job_id;
    let rows = jobs::history(&mut training, &job).await?;
    assert!(points.is_none_or(|points| points == rows.len()));

    all_are_pushed(&prometheus, &job, &rows).await?;
    the_page_lists_the_pushed_metrics(&prometheus)?;

    let pushed = format!(
        "digits_trainer_remote_write_samples_pushed_total {}",
        rows.len() * SERIES.len()
    );
    until(&pushed, async || {
        let exposition = http::get(sandbox.trainer()?.admin(), "/metrics")?;
        Ok(exposition.contains(&pushed).then_some(()))
    })
    .await?;
    assert!(!sandbox.trainer()?.log()?.contains("WARN"));
    sandbox.stop().await
}

/// A worker process reaches the storage alone: its trainer pushes what it reports, also what it
/// reported while no trainer ran, and what the last trainer took in and had not pushed.
#[tokio::test(flavor = "multi_thread")]
async fn every_point_of_a_worker_is_in_prometheus_after_its_trainer_was_killed() -> Result<()> {
    let name = "every_point_of_a_worker_is_in_prometheus_after_its_trainer_was_killed";
    let Some(program) = prometheus::program("prometheus", name) else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new(patience())?;
    let prometheus = Prometheus::start(&program, sandbox.dir()).await?;
    let address = prometheus.remote_write();
    let flags = ["--executor", "process", "--remote-write", &address];
    sandbox.start_trainer(&flags).await?;
    let mut training = sandbox.training().await?;
    let id = jobs::submit(&mut training, specs::synthetic(60))
        .await?
        .job_id;
    let mut seen = 0;
    for _ in 0..3 {
        let goal = seen + 10;
        until("further rows", async || {
            seen = jobs::history(&mut training, &id).await?.len();
            Ok((seen >= goal).then_some(()))
        })
        .await?;
        sandbox.take_trainer()?.crash()?;
        sandbox.start_trainer(&flags).await?;
        training = sandbox.training().await?;
    }
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Succeeded, 1));
    let rows = jobs::history(&mut training, &id).await?;
    ensure!(rows.len() > seen, "nothing was trained after the last kill");
    all_are_pushed(&prometheus, &id, &rows).await?;
    assert!(!sandbox.trainer()?.log()?.contains("WARN"));
    sandbox.stop().await
}

fn the_page_lists_the_pushed_metrics(prometheus: &Prometheus) -> Result<()> {
    let page = metric_names::documented("digits_trainer_")?;
    let named = page
        .iter()
        .filter(|(_, kind)| *kind == metric_names::PUSHED);
    let named: BTreeSet<String> = named.map(|(name, _)| name.clone()).collect();
    let there = prometheus.label_values("__name__", r#"{__name__=~"digits_trainer_.+"}"#)?;
    let there = there.iter().filter_map(Value::as_str).map(str::to_owned);
    assert_eq!(there.collect::<BTreeSet<String>>(), named);
    Ok(())
}

/// A run of one job has no port that could be scraped.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_one_job_pushes_its_points_before_it_ends() -> Result<()> {
    let name = "a_run_of_one_job_pushes_its_points_before_it_ends";
    let Some(program) = prometheus::program("prometheus", name) else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new(patience())?;
    let prometheus = Prometheus::start(&program, sandbox.dir()).await?;
    let spec = sandbox.dir().join("job.json");
    std::fs::write(&spec, JOB)?;
    let output = Command::new(sandbox.binary("digits-trainer"))
        .args(["run", "--json", "--storage", &sandbox.storage(), "--spec"])
        .arg(&spec)
        .arg("--state")
        .arg(sandbox.dir().join("state"))
        .env("DIGITS_REMOTE_WRITE", prometheus.remote_write())
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}\n{log}", output.status);
    let job: Value = serde_json::from_slice(&output.stdout)?;
    let job_id = job["job_id"].as_str().context("a job")?;
    // The process has ended, so no push can follow.
    let steps = samples(&prometheus, "digits_trainer_curve_step", job_id)?;
    let steps: Vec<f64> = steps.into_iter().map(|(step, _)| step).collect();
    assert!(!log.contains("WARN"), "{log}");

    sandbox.start_trainer(&[]).await?;
    let rows = jobs::history(&mut sandbox.training().await?, job_id).await?;
    assert!(!rows.is_empty());
    assert_eq!(
        steps,
        rows.iter().map(|row| row.step as f64).collect::<Vec<f64>>()
    );
    sandbox.stop().await
}
