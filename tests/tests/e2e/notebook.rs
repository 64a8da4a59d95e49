//! The notebook's run through the front door: submitted over gRPC, hot-loaded, evaluated by `Predict`.

use anyhow::{Context as _, Result};
use digits_e2e::{jobs, mnist, notebook, sandbox::Sandbox, specs, wait};
use digits_proto::v1::{
    GetModelRequest, PredictRequest, predict_request::Images, watch_job_response::Event,
};
use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Asks `Predict` without a pause until told to stop; returns when each sequence was first seen.
async fn keep_asking(
    sandbox: &Sandbox,
    image: Vec<u8>,
    stop: Arc<AtomicBool>,
) -> Result<tokio::task::JoinHandle<Result<BTreeMap<u64, Instant>>>> {
    let mut client = sandbox.predict().await?;
    Ok(tokio::spawn(async move {
        let mut seen = BTreeMap::new();
        while !stop.load(Ordering::Relaxed) {
            let request = PredictRequest {
                images: Some(Images::Pixels(image.clone().into())),
                ..PredictRequest::default()
            };
            match client.predict(request).await {
                Ok(answer) => {
                    let served = answer.into_inner().served_by.context("served_by")?;
                    seen.entry(served.sequence).or_insert_with(Instant::now);
                }
                // Nothing is served before the first checkpoint.
                Err(status) if seen.is_empty() && status.code() == tonic::Code::Unavailable => {}
                Err(status) => anyhow::bail!("a request failed: {status}"),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(seen)
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_run_comes_out_again_and_is_hot_loaded() -> Result<()> {
    let Some(dataset) = mnist::for_test("printed_run_comes_out_again_and_is_hot_loaded") else {
        return Ok(());
    };
    let mut sandbox = Sandbox::new()?;
    sandbox.start_trainer(&[])?;
    sandbox.start_inference(&[])?;

    let stop = Arc::new(AtomicBool::new(false));
    let asking = keep_asking(
        &sandbox,
        dataset.test.images.pixels[..784].to_vec(),
        stop.clone(),
    )
    .await?;
    let mut training = sandbox.training().await?;
    let submitted = jobs::submit(&mut training, specs::notebook()).await?;
    let mut published = BTreeMap::new();
    let job = jobs::watch(&mut training, &submitted.job_id, |event| {
        if let Some(Event::CheckpointPublished(checkpoint)) = &event.event {
            published.insert(checkpoint.sequence, Instant::now());
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

    // Each published checkpoint was served within a second, and no request failed meanwhile.
    let head = *published.keys().last().context("published checkpoints")?;
    assert_eq!(published.len(), 5, "one checkpoint for each epoch");
    let mut client = sandbox.predict().await?;
    wait::until(
        "serving the last checkpoint",
        Duration::from_secs(5),
        async || {
            let model = client
                .get_model(GetModelRequest::default())
                .await?
                .into_inner();
            let primary = model.served.first().context("a served checkpoint")?;
            Ok((primary.sequence == head).then_some(()))
        },
    )
    .await?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    stop.store(true, Ordering::Relaxed);
    let seen = asking.await??;
    let last_seen = seen
        .get(&head)
        .context("the last checkpoint answered no request")?;
    let delay = last_seen.saturating_duration_since(published[&head]);
    assert!(
        delay < Duration::from_secs(1),
        "served {delay:?} after publishing"
    );

    // What the trainer measured is what Predict gives.
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
    sandbox.stop()
}

/// The published model loads in PyTorch, strictly, and does the same on the test set.
fn check_in_pytorch(sandbox: &Sandbox, checkpoints: &[String], correct: u64) -> Result<()> {
    let python = std::env::var_os("DIGITS_PYTHON").unwrap_or_else(|| "python3".into());
    let torch = Command::new(&python)
        .args(["-c", "import torch, safetensors, numpy"])
        .output();
    if !torch.is_ok_and(|output| output.status.success()) {
        mnist::skip("check_in_pytorch", "Python has no torch; set DIGITS_PYTHON");
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
async fn other_seeds_are_as_good() -> Result<()> {
    if mnist::for_test("other_seeds_are_as_good").is_none() {
        return Ok(());
    }
    let mut sandbox = Sandbox::new()?;
    sandbox.start_trainer(&[])?;
    let mut training = sandbox.training().await?;
    for seed in [1, 2] {
        let job = jobs::run(&mut training, specs::notebook_with_seed(seed)).await?;
        let accuracy = job.test.context("a test")?.accuracy;
        assert!(
            (0.890..=0.915).contains(&accuracy),
            "seed {seed}: accuracy {accuracy}"
        );
    }
    sandbox.stop()
}
