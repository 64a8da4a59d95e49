//! Data sets as numpy, pandas, sklearn and the Hugging Face hub's library write them: pushed with
//! the command line, trained on, measured.

use crate::support::command_line::json;
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox};
use digits_testing::patience;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn case(name: &str) -> PathBuf {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/cli/tests/cases/arrays");
    cases.join(name)
}

/// Pushes files; the document.
fn push(sandbox: &Sandbox, file: &str, name: &str) -> Result<Value> {
    let path = case(file).display().to_string();
    let (document, _) = json(sandbox, 0, &["dataset", "push", &path, "--name", name])?;
    Ok(document)
}

#[tokio::test]
async fn files_of_other_tools_are_pushed_and_trained_on() -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    // The same digits in four forms are one content under four names.
    let first = push(&sandbox, "kaggle", "kaggle")?;
    for (file, name) in [("mnist.npz", "keras"), ("hub", "hub"), ("pairs", "pairs")] {
        let pushed = push(&sandbox, file, name)?;
        assert_eq!(pushed["digest"], first["digest"], "{file}");
        assert_eq!(pushed["content_was_there"], true, "{file}");
    }
    let (listed, _) = json(&sandbox, 0, &["datasets"])?;
    let listed = listed["datasets"].as_array().context("a list")?;
    let same = listed.iter().filter(|it| it["digest"] == first["digest"]);
    assert_eq!(same.count(), 4);

    // sklearn's digits, which a small network learns from 240 images.
    let pushed = push(&sandbox, "digits8x8.csv", "digits8x8")?;
    assert_eq!(pushed["manifest"]["train"]["count"], 240, "{pushed}");
    let mut training = sandbox.training().await?;
    for (dataset, flags, at_least) in [
        (
            "digits8x8",
            "--hidden 64 --learning-rate 0.05 --epochs 30 --batch-size 16",
            0.8,
        ),
        ("hub", "--hidden 16 --epochs 1 --batch-size 4", 0.0),
    ] {
        let mut arguments = vec!["train", "--dataset", dataset, "--detach"];
        arguments.extend(flags.split(' '));
        let (submitted, _) = json(&sandbox, 0, &arguments)?;
        let id = submitted["job"]["job_id"].as_str().context("an id")?;
        let job = jobs::watch(&mut training, id, |_| {}).await?;
        ensure!(job.error.is_empty(), "{}", job.error);
        let accuracy = job.test.context("a test")?.accuracy;
        ensure!(accuracy >= at_least, "{dataset}: {accuracy}");
    }
    sandbox.stop().await
}
