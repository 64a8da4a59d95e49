//! Storage and state folders of earlier versions: what they hold is served, listed and continued.

use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox};
use digits_proto::v1::{
    GetModelRequest, Job, JobState, ListJobsRequest, PredictRequest, ServingRole,
    predict_request::Images,
};
use digits_testing::{patience, until};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn formats() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("formats")
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (from, to) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_earlier_versions_are_continued() -> Result<()> {
    let mut versions = 0;
    for entry in fs::read_dir(formats())? {
        let folder = entry?.path();
        if folder.is_dir() {
            let continued = continues(&folder).await;
            continued.with_context(|| folder.display().to_string())?;
            versions += 1;
        }
    }
    ensure!(versions > 0, "no folder");
    Ok(())
}

/// Starts both services on a copy of the folders.
async fn continues(version: &Path) -> Result<()> {
    let mut sandbox = Sandbox::new(patience())?;
    copy(&version.join("storage"), &sandbox.dir().join("storage"))?;
    copy(&version.join("state"), &sandbox.dir().join("state"))?;
    sandbox
        .start_inference(&["--models", "digits,lines"])
        .await?;
    serves_what_it_served(&sandbox).await?;

    sandbox.start_trainer(&[]).await?;
    let mut training = sandbox.training().await?;
    let listed = training.list_jobs(ListJobsRequest::default()).await?;
    let listed = listed.into_inner().jobs;
    let named = |name: &str| -> Result<&Job> {
        let is_named = |job: &&Job| job.requested.as_ref().is_some_and(|it| it.name == name);
        let job = listed.iter().find(is_named);
        job.with_context(|| format!("no job {name}"))
    };
    for (name, checkpoints) in [("first", 2), ("better", 1), ("kept", 1), ("lines", 1)] {
        let job = named(name)?;
        assert_eq!(job.state(), JobState::Succeeded, "{name}");
        assert_eq!(job.checkpoint_ids.len(), checkpoints, "{name}");
        let rows = jobs::history(&mut training, &job.job_id).await?;
        ensure!(!rows.is_empty(), "{name} has no curve");
    }
    for name in ["unfinished", "waiting"] {
        let id = &named(name)?.job_id;
        let ended = until("the end of the job", async || {
            let job = jobs::get(&mut training, id).await?;
            Ok(Some(job).filter(|job| job.finished_at.is_some()))
        })
        .await?;
        assert!(ended.attempts <= 2, "{name}");
        assert_eq!(
            ended.state(),
            JobState::Succeeded,
            "{name}: {}",
            ended.error
        );
    }
    // A bundle that is damaged or does not fit is logged; the job then begins again.
    let log = sandbox.trainer()?.log()?;
    ensure!(!log.contains("a resume bundle"), "{log}");
    sandbox.stop().await
}

/// A canary beside the primary of one model, and the answers of the other.
async fn serves_what_it_served(sandbox: &Sandbox) -> Result<()> {
    let mut inference = sandbox.predict().await?;
    let model = until("both routes are loaded", async || {
        let model = inference.get_model(GetModelRequest::default()).await;
        let model = model.ok().map(tonic::Response::into_inner);
        Ok(model.filter(|model| model.served.len() == 2))
    })
    .await?;
    let roles: Vec<ServingRole> = model.served.iter().map(|it| it.role()).collect();
    assert_eq!(roles, [ServingRole::Primary, ServingRole::Canary]);

    // Two lines of eight pixels, in the middle.
    let row: Vec<u8> = (0..64)
        .map(|i| if i / 16 == 1 { 220 } else { 15 })
        .collect();
    let column: Vec<u8> = (0..64)
        .map(|i| if i % 8 / 2 == 1 { 220 } else { 15 })
        .collect();
    for (pixels, label) in [(row, "row"), (column, "column")] {
        let request = PredictRequest {
            model: "lines".to_owned(),
            images: Some(Images::Pixels(pixels.into())),
            ..PredictRequest::default()
        };
        let answer = until("the model is loaded", async || {
            Ok(inference.predict(request.clone()).await.ok())
        });
        let answer = answer.await?.into_inner();
        assert_eq!(answer.predictions[0].label, label);
        assert_eq!(answer.served_by.context("a checkpoint")?.sequence, 1);
    }
    Ok(())
}
