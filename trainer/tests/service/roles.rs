//! Which roles open each method, what a job of a client without the role `promote` may do, and the
//! audit log.

use crate::support::{Server, assert_status, small_job};
use digits_proto::v1::{
    CancelJobRequest, GetJobRequest, JobState, ListServingRequest, PromoteRequest, PromotionPolicy,
    RollbackRequest, SubmitJobRequest, checkpoint_service_client::CheckpointServiceClient,
    training_service_client::TrainingServiceClient,
};
use digits_testing::{
    roles::{TOKEN_FILE, assert_all_methods, assert_opened_by},
    until,
};
use std::path::Path;
use tonic::{Code, Request};

const TRAIN: &[&str] = &["train", "admin"];
const PROMOTE: &[&str] = &["promote", "admin"];
const READ: &[&str] = &["watch", "train", "promote", "admin"];

const METHODS: [(&str, &[&str]); 21] = [
    ("/digits.v1.TrainingService/SubmitJob", TRAIN),
    ("/digits.v1.TrainingService/CancelJob", TRAIN),
    ("/digits.v1.TrainingService/GetJob", READ),
    ("/digits.v1.TrainingService/ListJobs", READ),
    ("/digits.v1.TrainingService/WatchJob", READ),
    ("/digits.v1.TrainingService/GetHistory", READ),
    ("/digits.v1.TrainingService/ListPresets", READ),
    ("/digits.v1.TrainingService/ListDatasets", READ),
    ("/digits.v1.SweepService/SubmitSweep", TRAIN),
    ("/digits.v1.SweepService/CancelSweep", TRAIN),
    ("/digits.v1.SweepService/GetSweep", READ),
    ("/digits.v1.SweepService/ListSweeps", READ),
    ("/digits.v1.CheckpointService/ImportCheckpoint", TRAIN),
    ("/digits.v1.CheckpointService/Promote", PROMOTE),
    ("/digits.v1.CheckpointService/Rollback", PROMOTE),
    ("/digits.v1.CheckpointService/Release", PROMOTE),
    ("/digits.v1.CheckpointService/DropCandidates", PROMOTE),
    ("/digits.v1.CheckpointService/ListCheckpoints", READ),
    ("/digits.v1.CheckpointService/GetCheckpoint", READ),
    ("/digits.v1.CheckpointService/ListServing", READ),
    ("/digits.v1.CheckpointService/ReportCheckpoint", READ),
];

async fn start(folder: &Path, more: &[&str]) -> Server {
    let tokens = folder.join("tokens");
    std::fs::write(&tokens, TOKEN_FILE).expect("written");
    let flags = [&["--token-file", tokens.to_str().expect("valid")], more].concat();
    Server::start(folder, &flags).await
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {token}").parse().expect("valid");
    request.metadata_mut().insert("authorization", token);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn each_method_is_opened_by_its_roles() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]).await;
    assert_all_methods(
        digits_trainer::grpc::SERVICES,
        &METHODS.map(|(path, _)| path),
    );
    assert_all_methods(
        digits_trainer::grpc::SERVICES,
        &digits_trainer::grpc::ROLES
            .iter()
            .map(|(path, _)| *path)
            .collect::<Vec<_>>(),
    );
    let channel = server.channel().await;
    for (path, roles) in METHODS {
        assert_opened_by(&channel, path, roles).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_may_not_promote_submits_jobs_that_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]).await;
    let mut training = TrainingServiceClient::new(server.channel().await);
    let mut submit = async |policy: PromotionPolicy, token: &str| {
        let mut spec = small_job(1);
        spec.promotion = policy.into();
        let request_id = format!("{policy:?} {token}");
        let message = SubmitJobRequest {
            request_id,
            spec: Some(spec),
        };
        training.submit_job(with_token(message, token)).await
    };
    for policy in [PromotionPolicy::Unspecified, PromotionPolicy::Latest] {
        let refused = submit(policy, "train").await.unwrap_err();
        assert_status(&refused, Code::PermissionDenied, "policy MANUAL");
        submit(policy, "admin").await.unwrap();
    }
    submit(PromotionPolicy::Manual, "train").await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_audited_and_records_name_their_client() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    let server = start(folder.path(), &["--audit-log", log.to_str().unwrap()]).await;
    let channel = server.channel().await;
    let mut training = TrainingServiceClient::new(channel.clone());
    let message = SubmitJobRequest {
        request_id: "a".to_owned(),
        spec: Some(small_job(1)),
    };
    let job = training
        .submit_job(with_token(message, "admin"))
        .await
        .unwrap();
    let id = job.into_inner().job.unwrap().job_id;
    let message = CancelJobRequest { job_id: id.clone() };
    training
        .cancel_job(with_token(message, "train"))
        .await
        .unwrap();
    let mut checkpoints = CheckpointServiceClient::new(channel);
    let message = RollbackRequest {
        model: "digits".to_owned(),
        by: "night shift".to_owned(),
        ..Default::default()
    };
    checkpoints
        .rollback(with_token(message, "promote"))
        .await
        .unwrap_err();
    let message = ListServingRequest {
        model: "digits".to_owned(),
        ..Default::default()
    };
    checkpoints
        .list_serving(with_token(message, "watch"))
        .await
        .unwrap();
    server.stop().await;

    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    for (line, who, method) in [
        (&lines[0], "admin", "SubmitJob"),
        (&lines[1], "train", "CancelJob"),
        (&lines[2], "promote", "Rollback"),
    ] {
        assert_eq!(
            (line["who"].as_str(), line["method"].as_str()),
            (Some(who), Some(method))
        );
    }
    assert_eq!(
        (&lines[0]["job_id"], &lines[0]["result"]),
        (&id.clone().into(), &"OK".into())
    );
    assert_eq!(lines[1]["job_id"], id);
    assert_eq!(
        (&lines[2]["by"], &lines[2]["result"]),
        (&"night shift".into(), &"FAILED_PRECONDITION".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_names_its_client_with_the_text_that_it_gave_as_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]).await;
    let channel = server.channel().await;
    let mut training = TrainingServiceClient::new(channel.clone());
    let message = SubmitJobRequest {
        request_id: "a".to_owned(),
        spec: Some(small_job(1)),
    };
    let job = training.submit_job(with_token(message, "admin")).await;
    let job_id = job.unwrap().into_inner().job.unwrap().job_id;
    let succeeded = until("the job has succeeded", async || {
        let message = GetJobRequest {
            job_id: job_id.clone(),
        };
        let job = training.clone().get_job(with_token(message, "watch")).await;
        let job = job.unwrap().into_inner().job.unwrap();
        Ok((job.state() == JobState::Succeeded).then_some(job))
    });
    let job = succeeded.await.unwrap();
    let mut checkpoints = CheckpointServiceClient::new(channel);
    for (expected_sequence, note) in [(1, "the night shift"), (2, "")] {
        let message = PromoteRequest {
            model: "digits".to_owned(),
            checkpoint_id: job.checkpoint_ids[0].clone(),
            expected_sequence,
            by: note.to_owned(),
            ..Default::default()
        };
        let promoted = checkpoints.promote(with_token(message, "promote")).await;
        let record = promoted.unwrap().into_inner().record.unwrap();
        assert_eq!(
            (record.by.as_str(), record.note.as_str()),
            ("promote", note)
        );
    }
    server.stop().await;
    let first = std::fs::read_dir(folder.path().join("storage/serving/digits")).unwrap();
    let notes = first.filter(|file| {
        let text = std::fs::read_to_string(file.as_ref().unwrap().path()).unwrap();
        text.contains("\"note\"")
    });
    assert_eq!(notes.count(), 1);
}
