//! Jobs in TensorBoard, read by TensorBoard itself.

use crate::support::command_line::{json, python};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{CurveRow, JobState, PublishPolicy, PublishSpec};
use digits_testing::{patience, until};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A value of a row.
type Figure = fn(&CurveRow) -> f64;

/// The runs below a folder.
fn runs(python: &PathBuf, folder: &Path) -> Result<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/tensorboard_exam.py");
    let output = Command::new(python).arg(script).arg(folder).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test]
async fn an_exported_job_is_read_by_tensorboard() -> Result<()> {
    let Some(python) = python("an_exported_job_is_read_by_tensorboard", "tensorboard") else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let mut spec = specs::synthetic(3);
    spec.publish = Some(PublishSpec {
        policy: PublishPolicy::EveryEpoch.into(),
    });
    spec.report = Some(true);
    let job = jobs::run(&mut training, spec.clone()).await?;
    let (id, folder) = (job.job_id.as_str(), sandbox.dir().join("tensorboard"));
    let path = folder.display().to_string();
    let export = || json(&sandbox, 0, &["export", id, "--tensorboard", &path]);
    let (document, hints) = export()?;
    assert_eq!(document["checkpoints"], 3, "{document}");
    assert_eq!(hints, "");
    // A second export replaces the first.
    export()?;

    let (history, _) = json(&sandbox, 0, &["plot", id])?;
    let rows = history["rows"].as_array().context("rows")?;
    let found = runs(&python, &folder)?;
    let run = &found[format!("synthetic-{id}")];
    for (tag, path) in [
        ("loss/train", "/train_loss"),
        ("loss/validation", "/validation/loss"),
        ("accuracy/validation", "/validation/accuracy"),
        ("learning_rate", "/learning_rate"),
    ] {
        let curve = run["scalars"][tag].as_array().context(tag)?;
        assert_eq!(curve.len(), rows.len(), "{tag}");
        for (point, row) in curve.iter().zip(rows) {
            let expected = row.pointer(path).and_then(Value::as_f64).context(path)?;
            assert_eq!(point[0], row["step"]);
            assert_eq!(single(&point[1]), Some(expected as f32), "{tag}");
        }
    }
    let test = job.test.context("a test")?;
    let accuracy = single(&run["scalars"]["accuracy/test"][0][1]);
    assert_eq!(accuracy, Some(test.accuracy as f32));
    let steps: Vec<u64> = (1..=3).map(|epoch| epoch * job_steps(rows)).collect();
    for (tag, numbers) in [("layers.1/weight", 784.0 * 32.0), ("layers.3/bias", 10.0)] {
        let histograms = run["histograms"][tag].as_array().context(tag)?;
        let expected = |step| serde_json::json!([step, numbers, numbers]);
        let expected: Vec<Value> = steps.iter().map(expected).collect();
        assert_eq!(histograms, &expected, "{tag}");
    }
    let pictures = &run["images"]["report/hardest_test_images"];
    assert_eq!(pictures.as_array().map(Vec::len), Some(1), "{pictures}");
    let hparams = &run["hparams"];
    assert_eq!(hparams["epochs"], 3.0);
    assert_eq!(hparams["sgd.learning_rate"], 0.05);
    assert_eq!(hparams["architecture.hidden.widths"], "[32]");
    assert_eq!(run["status"], 1);

    // Only the last epoch has a checkpoint.
    spec.publish = Some(PublishSpec {
        policy: PublishPolicy::Final.into(),
    });
    let job = jobs::run(&mut training, spec).await?;
    let arguments = ["export", &job.job_id, "--tensorboard", &path];
    let (document, hints) = json(&sandbox, 0, &arguments)?;
    assert_eq!(document["checkpoints"], 1, "{document}");
    assert!(hints.contains("after epochs 1-2: "), "{hints}");
    assert_eq!(
        runs(&python, &folder)?.as_object().map(|all| all.len()),
        Some(2)
    );
    sandbox.stop().await
}

#[tokio::test]
async fn the_trainer_writes_each_row_once_however_often_it_is_killed() -> Result<()> {
    let name = "the_trainer_writes_each_row_once_however_often_it_is_killed";
    let Some(python) = python(name, "tensorboard") else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new(patience())?;
    let folder = sandbox.dir().join("tensorboard");
    let path = folder.display().to_string();
    let arguments = ["--tensorboard-dir", &path, "--bundle-interval", "1s"];
    sandbox.start_trainer(&arguments).await?;
    let mut spec = specs::synthetic(1_000);
    spec.publish = Some(PublishSpec {
        policy: PublishPolicy::Final.into(),
    });
    spec.report = Some(true);
    let id = jobs::submit(&mut sandbox.training().await?, spec)
        .await?
        .job_id;
    for _ in 0..3 {
        let state = jobs::further_rows(&mut sandbox.training().await?, &id, 20).await?;
        ensure!(state == JobState::Running, "it ended too early: {state:?}");
        sandbox.take_trainer()?.crash()?;
        sandbox.start_trainer(&arguments).await?;
    }
    let mut training = sandbox.training().await?;
    jobs::watch(&mut training, &id, |_| {}).await?;
    let rows = jobs::history(&mut training, &id).await?;
    let run = until("the run is complete", async || {
        let run = runs(&python, &folder)?[format!("synthetic-{id}")].clone();
        Ok((run["status"] == 1).then_some(run))
    })
    .await?;
    let curves: [(&str, Figure); 2] = [
        ("loss/train", |row| row.train_loss),
        ("learning_rate", |row| row.learning_rate),
    ];
    for (tag, figure) in curves {
        let curve = run["scalars"][tag].as_array().context(tag)?;
        assert_eq!(curve.len(), rows.len(), "{tag}");
        for (point, row) in curve.iter().zip(&rows) {
            assert_eq!(point[0], row.step);
            assert_eq!(single(&point[1]), Some(figure(row) as f32), "{tag}");
        }
    }
    assert_eq!(run["hparams"]["epochs"], 1_000.0);
    let histograms = run["histograms"]["layers.1/weight"].as_array();
    assert_eq!(histograms.map(Vec::len), Some(1));
    // Everything of the checkpoint is as the command line writes it.
    let exported = sandbox.dir().join("exported").display().to_string();
    json(&sandbox, 0, &["export", &id, "--tensorboard", &exported])?;
    let exported = runs(&python, Path::new(&exported))?[format!("synthetic-{id}")].clone();
    let pictures = run["images"]["report/hardest_test_images"].as_array();
    assert_eq!(pictures.map(Vec::len), Some(1), "{}", run["images"]);
    for part in ["images", "histograms"] {
        assert_eq!(run[part], exported[part]);
    }
    assert_eq!(
        run["scalars"]["report/error"],
        exported["scalars"]["report/error"]
    );
    sandbox.stop().await
}

/// A number in the precision of the file.
fn single(number: &Value) -> Option<f32> {
    number.as_f64().map(|number| number as f32)
}

/// Steps of an epoch: the first row of the second epoch is its first step.
fn job_steps(rows: &[Value]) -> u64 {
    let second = rows.iter().find(|row| row["epoch"] == 2);
    second
        .and_then(|row| row["step"].as_u64())
        .map_or(0, |step| step - 1)
}
