//! Jobs that start from a checkpoint.

use crate::support::{
    Server, assert_status, endless_job, get, is_row, small_job, submit, watch, watch_to_end,
};
use digits_proto::v1::{
    Activation, ArchitectureSpec, Checkpoint, GetCheckpointRequest, HiddenLayers, JobSpec,
    JobState, Sgd, checkpoint_service_client::CheckpointServiceClient, job_spec::Optimizer,
    training_service_client::TrainingServiceClient,
};
use std::fs;
use tonic::{Code, transport::Channel};
use tonic_types::StatusExt as _;

fn hidden(widths: &[u32], activation: Activation) -> Option<ArchitectureSpec> {
    Some(ArchitectureSpec {
        hidden: Some(HiddenLayers {
            widths: widths.to_vec(),
        }),
        activation: activation.into(),
        ..ArchitectureSpec::default()
    })
}

/// Runs a job to its end; returns its only checkpoint.
async fn train(
    training: &mut TrainingServiceClient<Channel>,
    checkpoints: &mut CheckpointServiceClient<Channel>,
    request_id: &str,
    spec: JobSpec,
) -> Checkpoint {
    let job = submit(training, request_id, spec).await.expect("accepted");
    watch_to_end(training, &job.job_id, 0).await;
    let job = get(training, &job.job_id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    let request = GetCheckpointRequest {
        checkpoint_id: job.checkpoint_ids[0].clone(),
    };
    let answer = checkpoints.get_checkpoint(request).await;
    answer
        .expect("a checkpoint")
        .into_inner()
        .checkpoint
        .expect("filled")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_starts_from_a_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let (mut training, mut checkpoints) = (server.training().await, server.checkpoints().await);
    let spec = JobSpec {
        architecture: hidden(&[12], Activation::Gelu),
        ..small_job(1)
    };
    let parent = train(&mut training, &mut checkpoints, "parent", spec).await;
    assert_eq!(parent.lineage.as_ref().map(|it| it.threads), Some(1));

    // A rate too small to move a weight: what comes out is what went in.
    let still = JobSpec {
        init_from: Some(parent.checkpoint_id.clone()),
        optimizer: Some(Optimizer::Sgd(Sgd {
            learning_rate: Some(1e-30),
            momentum: Some(0.0),
            ..Sgd::default()
        })),
        seed: Some(5),
        ..small_job(1)
    };
    let child = train(&mut training, &mut checkpoints, "still", still.clone()).await;
    assert_eq!(child.weights_sha256, parent.weights_sha256);
    assert_eq!(child.architecture, parent.architecture);
    let lineage = child.lineage.expect("a lineage");
    assert_eq!(lineage.parent_checkpoint_id, parent.checkpoint_id);

    let moving = JobSpec {
        optimizer: None,
        ..still
    };
    let child = train(&mut training, &mut checkpoints, "moving", moving).await;
    assert_ne!(child.weights_sha256, parent.weights_sha256);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_mismatched_parent_is_refused_at_submission() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let (mut training, mut checkpoints) = (server.training().await, server.checkpoints().await);
    let parent = train(&mut training, &mut checkpoints, "parent", small_job(1)).await;
    let spec = JobSpec {
        init_from: Some(parent.checkpoint_id.clone()),
        architecture: hidden(&[128], Activation::Unspecified),
        ..small_job(1)
    };
    let status = submit(&mut training, "wide", spec)
        .await
        .expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_details_bad_request().expect("fields");
    let found: Vec<(&str, &str)> = details
        .field_violations
        .iter()
        .map(|it| (it.field.as_str(), it.description.as_str()))
        .collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0].0, "spec.init_from");
    assert!(
        found[0]
            .1
            .starts_with("layers.1.weight: the checkpoint has 10×784, the job wants 128×784"),
        "{found:?}"
    );

    let uncommitted = "01890a5d-ac96-774b-bcce-b302099a8057";
    let checkpoint = folder.path().join("storage/checkpoints");
    fs::create_dir_all(checkpoint.join(uncommitted)).expect("made");
    fs::write(checkpoint.join(uncommitted).join("model.safetensors"), "x").expect("written");
    let from = |id: &str| JobSpec {
        init_from: Some(id.to_owned()),
        ..small_job(1)
    };
    let status = submit(&mut training, "half", from(uncommitted)).await;
    let status = status.expect_err("refused");
    assert_status(&status, Code::InvalidArgument, "no committed checkpoint");

    let tombstone = checkpoint
        .join(&parent.checkpoint_id)
        .join("tombstone.json");
    fs::write(tombstone, r#"{"format":1,"at":"2026-01-01T00:00:00Z"}"#).expect("written");
    let status = submit(&mut training, "buried", from(&parent.checkpoint_id)).await;
    let status = status.expect_err("refused");
    assert_status(&status, Code::InvalidArgument, "marked for deletion");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_damaged_before_the_start_fails_the_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let (mut training, mut checkpoints) = (server.training().await, server.checkpoints().await);
    let parent = train(&mut training, &mut checkpoints, "parent", small_job(1)).await;
    let blocking = submit(&mut training, "blocking", endless_job())
        .await
        .expect("accepted");
    watch(&mut training, &blocking.job_id, 0, is_row).await;
    let spec = JobSpec {
        init_from: Some(parent.checkpoint_id.clone()),
        ..small_job(1)
    };
    let job = submit(&mut training, "child", spec)
        .await
        .expect("accepted");
    let model = folder
        .path()
        .join("storage/checkpoints")
        .join(&parent.checkpoint_id)
        .join("model.safetensors");
    let mut bytes = fs::read(&model).expect("read");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&model, bytes).expect("written");
    let request = digits_proto::v1::CancelJobRequest {
        job_id: blocking.job_id,
    };
    training.cancel_job(request).await.expect("cancelled");
    watch_to_end(&mut training, &job.job_id, 0).await;
    let job = get(&mut training, &job.job_id).await;
    assert_eq!(job.state(), JobState::Failed);
    assert!(
        job.error.starts_with("init_from:") && job.error.contains("SHA-256"),
        "{}",
        job.error
    );
    assert!(job.checkpoint_ids.is_empty());
    server.stop().await;
}
