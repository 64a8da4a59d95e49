//! Report cards over gRPC: measured on request, one at a time, and carried by the last manifest of
//! a job that requests one.

use crate::support::{Server, assert_status, get, small_job, submit, watch_to_end};
use digits_proto::v1::{
    ArchitectureSpec, DataSpec, HiddenLayers, JobSpec, JobState, ReportCard,
    ReportCheckpointRequest, ReportCheckpointResponse, SyntheticSpec,
    checkpoint_service_client::CheckpointServiceClient,
};
use digits_testing::until;
use std::path::Path;
use tonic::{Code, Status, transport::Channel};

async fn report(
    client: &mut CheckpointServiceClient<Channel>,
    checkpoint_id: &str,
    measure_again: bool,
) -> Result<ReportCheckpointResponse, Status> {
    let request = ReportCheckpointRequest {
        checkpoint_id: checkpoint_id.to_owned(),
        measure_again,
    };
    let answer = client.report_checkpoint(request).await?;
    Ok(answer.into_inner())
}

/// Trains and returns the ids of the job's checkpoints.
async fn trained(server: &Server, request_id: &str, spec: JobSpec) -> Vec<String> {
    let mut client = server.training().await;
    let job = submit(&mut client, request_id, spec)
        .await
        .expect("accepted");
    watch_to_end(&mut client, &job.job_id, 0).await;
    let job = get(&mut client, &job.job_id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    job.checkpoint_ids
}

/// What must hold of the figures among each other.
fn check(card: &ReportCard, images: u64) {
    assert_eq!(card.images, images);
    assert_eq!(card.error, card.errors as f64 / images as f64);
    let rows = &card.confusion;
    let counts = |truth: usize| rows[truth].predicted.iter().sum::<u64>();
    assert_eq!((0..10).map(counts).sum::<u64>(), images);
    let right: u64 = (0..10).map(|label| rows[label].predicted[label]).sum();
    assert_eq!(right, images - card.errors);
    assert_eq!(card.corruptions.len(), 15);
    let sum: f64 = card.corruptions.iter().map(|one| one.error).sum();
    assert!((card.mean_corruption_error - sum / 15.0).abs() < 1e-12);
    assert!(card.styles.len() > 50);
    assert!(card.styles.iter().all(|one| one.images == 60));
    let sum: f64 = card.styles.iter().map(|one| one.error).sum();
    assert!((card.mean_style_error - sum / card.styles.len() as f64).abs() < 1e-12);
    let calibration = card.calibration.expect("set");
    assert_eq!((calibration.temperature, calibration.bins), (1.0, 15));
    assert!((0.0..1.0).contains(&calibration.expected_calibration_error));
    let coverages: Vec<f64> = card.coverages.iter().map(|one| one.coverage).collect();
    assert_eq!(coverages, [0.95, 0.98]);
    assert_eq!(card.hardest.len(), 16);
    assert!(card.hardest.is_sorted_by(|a, b| a.loss >= b.loss));
    assert!(card.hardest.iter().all(|one| one.pixels.len() == 784));
}

fn rounded(mut card: ReportCard) -> ReportCard {
    let round = |number: &mut f64| *number = (*number * 1e12).round() / 1e12;
    let calibration = card.calibration.as_mut().expect("set");
    round(&mut calibration.negative_log_likelihood);
    round(&mut calibration.expected_calibration_error);
    round(&mut card.error);
    round(&mut card.mean_corruption_error);
    round(&mut card.mean_style_error);
    card.corruptions
        .iter_mut()
        .for_each(|it| round(&mut it.error));
    card.styles.iter_mut().for_each(|it| round(&mut it.error));
    for it in &mut card.coverages {
        round(&mut it.error);
        round(&mut it.threshold);
    }
    for it in &mut card.hardest {
        round(&mut it.probability);
        round(&mut it.loss);
    }
    card
}

fn without_time(card: Option<ReportCard>) -> ReportCard {
    ReportCard {
        seconds: 0.0,
        ..card.expect("a report")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_manifest_has_a_report_and_others_are_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let spec = JobSpec {
        report: Some(true),
        ..small_job(2)
    };
    let checkpoints = trained(&server, "a", spec).await;
    let mut client = server.checkpoints().await;
    let [first, last] = &checkpoints[..] else {
        panic!("one for each epoch: {checkpoints:?}");
    };
    assert!(manifest(folder.path(), first).get("report").is_none());
    assert!(manifest(folder.path(), last).get("report").is_some());

    let measured = report(&mut client, first, false).await.expect("measured");
    assert!(!measured.from_manifest);
    let checkpoint = measured.checkpoint.expect("the checkpoint");
    assert_eq!(&checkpoint.checkpoint_id, first);
    check(&measured.report.expect("a report"), 100);

    let read = report(&mut client, last, false).await.expect("read");
    assert!(read.from_manifest);
    let again = report(&mut client, last, true).await.expect("measured");
    assert!(!again.from_manifest);
    let (read, again) = (without_time(read.report), without_time(again.report));
    check(&read, 100);
    // The same weights and images, the same figures; through JSON to the last digit but one.
    assert_eq!(rounded(read.clone()), rounded(again));
    // What the job itself found on the test images.
    let test = read_test(folder.path(), last);
    assert_eq!(read.images - read.errors, test.0);
    let loss = read.calibration.expect("set").negative_log_likelihood;
    assert!((loss - test.1).abs() < 1e-5, "{loss} and {}", test.1);
    server.stop().await;
}

fn manifest(folder: &Path, checkpoint: &str) -> serde_json::Value {
    let path = folder.join(format!("storage/checkpoints/{checkpoint}/manifest.json"));
    serde_json::from_slice(&std::fs::read(path).expect("a manifest")).expect("JSON")
}

/// Right answers and loss on the test images, as training found them.
fn read_test(folder: &Path, checkpoint: &str) -> (u64, f64) {
    let test = manifest(folder, checkpoint)["metrics"]["test"].clone();
    let correct = test["correct"].as_u64().expect("a count");
    (correct, test["loss"].as_f64().expect("a loss"))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_report_is_measured_at_a_time_and_a_disconnect_stops_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    // Wide layers and many images: its report takes far longer than this test waits for it.
    let wide = JobSpec {
        data: Some(DataSpec {
            dataset: Some("synthetic".to_owned()),
            synthetic: Some(SyntheticSpec {
                train_images: Some(300),
                test_images: Some(5_000),
                seed: Some(1),
            }),
            ..DataSpec::default()
        }),
        architecture: Some(ArchitectureSpec {
            hidden: Some(HiddenLayers {
                widths: vec![2_000, 2_000],
            }),
            ..ArchitectureSpec::default()
        }),
        batch_size: Some(100),
        ..small_job(1)
    };
    let slow = trained(&server, "slow", wide).await.remove(0);
    let quick = trained(&server, "quick", small_job(1)).await.remove(0);

    let mut patient = server.checkpoints().await;
    let asked = slow.clone();
    // The quick one may hold the slot when the slow one arrives, which then retries.
    let waiting = tokio::spawn(async move {
        loop {
            match report(&mut patient, &asked, false).await {
                Err(status) if status.code() == Code::ResourceExhausted => {
                    tokio::task::yield_now().await;
                }
                ended => return ended,
            }
        }
    });
    let mut client = server.checkpoints().await;
    // Busy as soon as the other one has begun.
    let refused = until("another report is refused", async || {
        Ok(report(&mut client, &quick, false).await.err())
    });
    let refused = refused.await.expect("refused");
    assert_status(&refused, Code::ResourceExhausted, "another report");
    assert!(!waiting.is_finished());

    waiting.abort();
    let done = until("the place is free", async || {
        Ok(report(&mut client, &quick, false).await.ok())
    });
    let done = done.await.expect("measured");
    assert!(!done.from_manifest);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_that_cannot_be_measured_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let made = trained(&server, "a", small_job(1)).await.remove(0);
    let mut client = server.checkpoints().await;

    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (id, code, part) in [
        ("nonsense", Code::InvalidArgument, "checkpoint_id"),
        (unknown, Code::NotFound, unknown),
    ] {
        let status = report(&mut client, id, false).await.expect_err(id);
        assert_status(&status, code, part);
    }

    let path = folder
        .path()
        .join(format!("storage/checkpoints/{made}/manifest.json"));
    let original = std::fs::read_to_string(&path).expect("a manifest");
    let digest = manifest(folder.path(), &made)["lineage"]["dataset_digest"].clone();
    let digest = digest.as_str().expect("a digest");
    let spec = manifest(folder.path(), &made)["lineage"]["spec_protobuf"].clone();
    let spec = spec.as_str().expect("a spec");
    for (from, to, part) in [
        (digest, "00".repeat(32).as_str(), "has changed"),
        (spec, "", "does not say which data set"),
    ] {
        std::fs::write(&path, original.replace(from, to)).expect("written");
        let status = report(&mut client, &made, false).await.expect_err(part);
        assert_status(&status, Code::FailedPrecondition, part);
    }
    std::fs::write(&path, &original).expect("written");
    let model = path.with_file_name("model.safetensors");
    let mut bytes = std::fs::read(&model).expect("weights");
    *bytes.last_mut().expect("a byte") ^= 1;
    std::fs::write(&model, bytes).expect("written");
    let status = report(&mut client, &made, false)
        .await
        .expect_err("damaged");
    assert_status(&status, Code::FailedPrecondition, "is damaged");
    server.stop().await;
}
