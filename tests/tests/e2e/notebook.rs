//! Reproduces the notebook's run end to end: submitted over gRPC, hot-loaded, evaluated by
//! `Predict`.

use crate::support::mnist;
use anyhow::{Context as _, Result};
use digits_e2e::{jobs, notebook, sandbox::Sandbox, specs, watcher::Watcher};
use digits_proto::v1::watch_job_response::Event;
use digits_testing::{patience, skip};
use std::{collections::BTreeSet, path::Path, process::Command};

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_run_is_reproduced_and_hot_loaded() -> Result<()> {
    let Some(dataset) = mnist::for_test("the_printed_run_is_reproduced_and_hot_loaded") else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    sandbox.start_inference(&[]).await?;

    let image = dataset.test.images.pixels[..784].to_vec();
    let watcher = Watcher::start(&sandbox, image).await?;
    let mut training = sandbox.training().await?;
    let submitted = jobs::submit(&mut training, specs::notebook()).await?;
    let mut published = BTreeSet::new();
    let job = jobs::watch(&mut training, &submitted.job_id, |event| {
        if let Some(Event::CheckpointPublished(checkpoint)) = &event.event {
            published.insert(checkpoint.sequence);
        }
    })
    .await?;
    let test = job
        .test
        .with_context(|| format!("the job has no test: {}", job.error))?;

    // Every printed row.
    let rows = jobs::history(&mut training, &job.job_id).await?;
    for comparison in notebook::compare(&rows, &test)? {
        assert!(comparison.agrees(), "{comparison:?}");
    }

    // Each checkpoint that was served is one of those published, the last one in the end, and no
    // request failed meanwhile. How many were served before the last depends on the machine.
    assert_eq!(published.len(), 5, "one checkpoint for each epoch");
    let head = *published.last().context("published checkpoints")?;
    let seen = watcher.finish(Some(head), patience()).await?;
    assert!(seen.first.contains_key(&head), "{:?}", seen.first);
    assert!(
        seen.first
            .keys()
            .all(|sequence| published.contains(sequence))
    );
    let (_, client) = sandbox.clients()?;

    // Predict gives the accuracy that the trainer measured.
    let through = digits_cli::evaluate::evaluate(
        &client,
        &dataset.test,
        &digits_cli::evaluate::Options::default(),
        |_| {},
    )
    .await?;
    assert_eq!(through.correct, test.correct);
    assert_eq!(
        format!("{:.6}", through.loss_batch_mean),
        format!("{:.6}", test.loss_batch_mean)
    );
    assert_eq!(format!("{:.6}", through.loss_batch_mean), "0.351287");
    assert_eq!(format!("{:.1}", 100.0 * test.accuracy), "90.0");

    check_in_pytorch(&sandbox, &job.checkpoint_ids, test.correct)?;
    sandbox.stop().await
}

/// The published model loads in PyTorch with `strict=True` and has the same accuracy on the test
/// set.
fn check_in_pytorch(sandbox: &Sandbox, checkpoints: &[String], correct: u64) -> Result<()> {
    let python = std::env::var_os("DIGITS_PYTHON").unwrap_or_else(|| "python3".into());
    let torch = Command::new(&python)
        .args(["-c", "import torch, safetensors, numpy"])
        .output();
    if !torch.is_ok_and(|output| output.status.success()) {
        skip("check_in_pytorch", "Python has no torch; set DIGITS_PYTHON");
        return Ok(());
    }
    let last = checkpoints.last().context("a checkpoint")?;
    let folder = sandbox.dir().join("storage/checkpoints").join(last);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/load_checkpoint.py");
    let output = Command::new(&python).arg(script).arg(&folder).output()?;
    anyhow::ensure!(
        output.status.success(),
        "load_checkpoint.py: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(answer["correct"].as_u64(), Some(correct), "{answer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_seeds_reach_the_same_accuracy() -> Result<()> {
    if mnist::for_test("other_seeds_reach_the_same_accuracy").is_none() {
        return Ok(());
    }
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    for seed in [1, 2] {
        let job = jobs::run(&mut training, specs::notebook_with_seed(seed)).await?;
        let accuracy = job.test.context("a test")?.accuracy;
        assert!(
            (0.890..=0.915).contains(&accuracy),
            "seed {seed}: accuracy {accuracy}"
        );
    }
    sandbox.stop().await
}
