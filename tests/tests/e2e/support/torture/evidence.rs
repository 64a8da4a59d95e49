//! The results of a job without ids, times and speeds, which differ from run to run.

use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox};
use digits_proto::v1::{
    CurveRow, Evaluation, Job, JobSpec, training_service_client::TrainingServiceClient,
};
use digits_testing::patience;
use std::fs;
use tonic::transport::Channel;

/// Everything about a finished job that must not depend on interruptions.
#[derive(Debug, PartialEq)]
pub struct Evidence {
    /// The curves.
    pub rows: Vec<CurveRow>,
    /// The published checkpoints, in order.
    pub checkpoints: Vec<Published>,
    /// The final test.
    pub test: Option<Evaluation>,
    /// Steps done.
    pub steps: u64,
    /// Digest of its data set.
    pub dataset_digest: String,
}

/// A checkpoint on the storage.
#[derive(Debug, PartialEq)]
pub struct Published {
    /// Epoch after which it was taken.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Digest of the weights.
    pub weights_sha256: String,
    /// Temperature of the logits.
    pub temperature: f64,
}

impl Evidence {
    /// Collects the results of a job that has ended.
    pub async fn of(
        sandbox: &Sandbox,
        training: &mut TrainingServiceClient<Channel>,
        job: &Job,
    ) -> Result<Self> {
        let rows = jobs::history(training, &job.job_id).await?;
        let checkpoints = job.checkpoint_ids.iter().map(|id| published(sandbox, id));
        Ok(Self {
            rows: rows.into_iter().map(timeless).collect(),
            checkpoints: checkpoints.collect::<Result<_>>()?,
            test: job.test,
            steps: job.progress.context("progress")?.step,
            dataset_digest: job.dataset_digest.clone(),
        })
    }
}

/// A row without time and speed.
#[must_use]
pub fn timeless(row: CurveRow) -> CurveRow {
    CurveRow {
        at: None,
        samples_per_second: 0.0,
        ..row
    }
}

fn published(sandbox: &Sandbox, id: &str) -> Result<Published> {
    let path = sandbox
        .dir()
        .join("storage/checkpoints")
        .join(id)
        .join("manifest.json");
    let text = fs::read(&path).with_context(|| format!("checkpoint {id} is not committed"))?;
    let manifest: serde_json::Value = serde_json::from_slice(&text)?;
    let number = |name: &str| manifest["lineage"][name].as_u64().context("a number");
    let digest = manifest["files"]["model"]["sha256"].as_str();
    Ok(Published {
        epoch: number("epoch")?,
        step: number("step")?,
        weights_sha256: digest.context("a digest")?.to_owned(),
        temperature: manifest["temperature"].as_f64().context("a number")?,
    })
}

/// The results of undisturbed jobs of these specs.
pub async fn undisturbed(specs: &[JobSpec]) -> Result<Vec<Evidence>> {
    let mut sandbox = Sandbox::new(patience())?;
    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let mut found = Vec::new();
    for spec in specs {
        let job = jobs::run(&mut training, spec.clone()).await?;
        found.push(Evidence::of(&sandbox, &mut training, &job).await?);
    }
    sandbox.stop().await?;
    Ok(found)
}

/// Fails unless a job has the results of an undisturbed one.
pub fn same(id: &str, found: &Evidence, expected: &Evidence) -> Result<()> {
    for (ours, theirs) in found.rows.iter().zip(&expected.rows) {
        ensure!(
            ours == theirs,
            "job {id}: row {ours:?}, undisturbed {theirs:?}"
        );
    }
    ensure!(
        found == expected,
        "job {id}: {} rows, {:?}; undisturbed {} rows, {:?}",
        found.rows.len(),
        found.checkpoints,
        expected.rows.len(),
        expected.checkpoints
    );
    Ok(())
}
