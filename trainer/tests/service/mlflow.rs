//! Jobs in MLflow: what is logged, to a server that fails, refuses, is silent or is away.

use crate::{
    mlflow_server::{Content, MlflowServer, Run},
    support::{Server, endless_job, reach, small_job, submit, watch, watch_to_end},
};
use digits_proto::v1::{
    CancelJobRequest, Job, JobState, PromoteRequest, PromotionPolicy, PublishPolicy, PublishSpec,
    RollbackRequest, watch_job_response::Event,
};
use digits_testing::until;
use std::{fs, path::Path};

async fn start(folder: &Path, mlflow: &MlflowServer) -> Server {
    let address = format!("http://{}", mlflow.address);
    Server::start(folder, &["--mlflow-tracking-uri", &address]).await
}

async fn run(server: &Server, name: &str) -> Job {
    let mut client = server.training().await;
    let mut spec = small_job(2);
    spec.name = name.to_owned();
    spec.promotion = PromotionPolicy::Latest.into();
    spec.publish = Some(PublishSpec {
        policy: PublishPolicy::Final.into(),
    });
    spec.labels.insert("team".to_owned(), "a".to_owned());
    let job = submit(&mut client, name, spec).await.expect("accepted");
    watch_to_end(&mut client, &job.job_id, 0).await;
    reach(&mut client, &job.job_id, JobState::Succeeded).await
}

/// Steps of the rows of a job.
async fn steps(server: &Server, job: &Job) -> Vec<u64> {
    let mut client = server.training().await;
    let events = watch(&mut client, &job.job_id, 0, |_| false).await;
    let rows = events.into_iter().filter_map(|event| match event.event {
        Some(Event::Row(row)) => Some(row.step),
        _ => None,
    });
    rows.collect()
}

/// What the server has once `done` is true of it.
async fn reached<T>(mlflow: &MlflowServer, done: impl Fn(&Content) -> Option<T>) -> T {
    let found = until("MLflow has it", async || Ok(done(&mlflow.content())));
    match found.await {
        Ok(found) => found,
        Err(error) => panic!("{error}: {:#?}", mlflow.content()),
    }
}

fn ended(content: &Content, runs: usize) -> Option<Vec<Run>> {
    let ended = content.runs.iter().filter(|run| run.status != "RUNNING");
    (ended.count() == runs).then(|| content.runs.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_a_run_with_its_curves_and_its_checkpoints() {
    let folder = tempfile::tempdir().expect("a folder");
    let mlflow = MlflowServer::start().await;
    let secret = folder.path().join("credentials");
    fs::write(&secret, "token\n").expect("a file");
    let address = format!("http://{}", mlflow.address);
    let secret = secret.display().to_string();
    let server = Server::start(
        folder.path(),
        &[
            "--mlflow-tracking-uri",
            &address,
            "--mlflow-experiment",
            "mine",
            "--mlflow-credentials-file",
            &secret,
        ],
    )
    .await;
    let job = run(&server, "a").await;
    let run = reached(&mlflow, |content| ended(content, 1))
        .await
        .remove(0);
    assert_eq!((run.name.as_str(), run.status.as_str()), ("a", "FINISHED"));
    assert_eq!(run.tags["digits.job_id"], job.job_id);
    assert_eq!(run.tags["label.team"], "a");
    assert_eq!(run.params["epochs"], "2");
    assert_eq!(run.params["data.dataset"], "synthetic");
    let rows = steps(&server, &job).await;
    for key in [
        "train/loss",
        "validation/loss",
        "validation/accuracy",
        "learning_rate",
    ] {
        assert_eq!(run.steps(key), rows, "{key}");
    }
    let accuracy = job.test.expect("a test").accuracy;
    let step = job.progress.expect("progress").step;
    let expected = ("test/accuracy".to_owned(), step, accuracy);
    assert!(run.metrics.contains(&expected), "{:?}", run.metrics);

    let id = &job.checkpoint_ids[0];
    reached(&mlflow, |content| content.champions.get("digits").cloned()).await;
    {
        let content = mlflow.content();
        assert_eq!(content.experiments, ["mine"]);
        assert!(content.authorizations.iter().all(|it| it == "Bearer token"));
        let version = &content.versions[0];
        assert_eq!(
            version["source"],
            format!("mlflow-artifacts:/0/0/artifacts/checkpoints/{id}")
        );
        assert_eq!(version["run_id"], "0");
        for file in ["model.safetensors", "exam.safetensors", "manifest.json"] {
            let stored = folder
                .path()
                .join("storage/checkpoints")
                .join(id)
                .join(file);
            let uploaded = &content.artifacts[&format!("0/0/artifacts/checkpoints/{id}/{file}")];
            assert_eq!(&fs::read(stored).expect("a file"), uploaded, "{file}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alias_follows_promotions_and_rollbacks_by_clients() {
    let folder = tempfile::tempdir().expect("a folder");
    let mlflow = MlflowServer::start().await;
    // The first checkpoint is from before the trainer knew of MLflow.
    let server = Server::start(folder.path(), &[]).await;
    let before = run(&server, "before").await;
    server.stop().await;
    let server = start(folder.path(), &mlflow).await;
    let champion = |version: &'static str| {
        move |content: &Content| {
            (content.champions.get("digits").map(String::as_str) == Some(version)).then_some(())
        }
    };
    run(&server, "a").await;
    reached(&mlflow, champion("1")).await;
    let second = run(&server, "b").await;
    reached(&mlflow, champion("2")).await;
    let mut checkpoints = server.checkpoints().await;
    let request = RollbackRequest {
        model: "digits".to_owned(),
        to_sequence: 2,
        expected_sequence: 3,
        by: "somebody".to_owned(),
    };
    checkpoints.rollback(request).await.expect("rolled back");
    reached(&mlflow, champion("1")).await;
    for (sequence, job, version) in [(4, &second, "2"), (5, &before, "3")] {
        let request = PromoteRequest {
            model: "digits".to_owned(),
            checkpoint_id: job.checkpoint_ids[0].clone(),
            expected_sequence: sequence,
            by: "somebody".to_owned(),
            ..PromoteRequest::default()
        };
        checkpoints.promote(request).await.expect("promoted");
        reached(&mlflow, champion(version)).await;
    }
    // The checkpoint from before has a run of its own.
    let runs = reached(&mlflow, |content| ended(content, 3)).await;
    assert_eq!(
        runs[2].tags["digits.checkpoint_id"],
        before.checkpoint_ids[0]
    );
    assert_eq!(runs[2].tags["digits.of_job"], before.job_id);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_repeated_and_what_is_refused_is_dropped_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mlflow = MlflowServer::start().await;
    mlflow.content().failures = [503, 401, 404].into();
    mlflow.content().refused = Some("sgd.learning_rate");
    let server = start(folder.path(), &mlflow).await;
    let job = run(&server, "a").await;
    let run = reached(&mlflow, |content| ended(content, 1))
        .await
        .remove(0);
    assert!(run.params.is_empty(), "{:?}", run.params);
    assert_eq!(run.steps("train/loss"), steps(&server, &job).await);
    assert_eq!(mlflow.content().runs.len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_missed_is_logged_once_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mlflow = MlflowServer::start().await;
    let server = start(folder.path(), &mlflow).await;
    run(&server, "a").await;
    reached(&mlflow, |content| ended(content, 1)).await;
    let address = mlflow.address.to_string();
    let content = mlflow.stop().await;
    run(&server, "b").await;
    let second = run(&server, "c").await;
    // Neither a job nor the trainer's end waits for it, and the next start goes on.
    server.stop().await;
    let mlflow = MlflowServer::start_at(&address, content).await;
    let server = start(folder.path(), &mlflow).await;
    let runs = reached(&mlflow, |content| ended(content, 3)).await;
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(runs[2].steps("train/loss"), steps(&server, &second).await);
    reached(&mlflow, |content| {
        (content.champions.get("digits")? == "3").then_some(())
    })
    .await;
    assert_eq!(mlflow.content().versions.len(), 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_do_not_wait_for_a_silent_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let mlflow = MlflowServer::start().await;
    mlflow.content().failures = [0].into();
    let server = start(folder.path(), &mlflow).await;
    run(&server, "a").await;
    run(&server, "b").await;
    server.stop().await;
    let server = start(folder.path(), &mlflow).await;
    reached(&mlflow, |content| ended(content, 2)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_run_is_logged_from_its_beginning_and_a_deleted_one_is_not_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mlflow = MlflowServer::start().await;
    let server = start(folder.path(), &mlflow).await;
    let mut client = server.training().await;
    let job = submit(&mut client, "endless", endless_job()).await;
    let job = job.expect("accepted");
    let has_rows = |content: &Content| {
        let run = content.runs.first()?;
        (!run.metrics.is_empty()).then_some(())
    };
    reached(&mlflow, has_rows).await;
    // Another server is in its place, which has nothing.
    let address = mlflow.address.to_string();
    mlflow.stop().await;
    let mlflow = MlflowServer::start_at(&address, Content::default()).await;
    reached(&mlflow, has_rows).await;
    let request = CancelJobRequest {
        job_id: job.job_id.clone(),
    };
    client.cancel_job(request).await.expect("cancelled");
    let runs = reached(&mlflow, |content| ended(content, 1)).await;
    assert_eq!(runs[0].status, "KILLED");
    assert_eq!(runs[0].steps("train/loss"), steps(&server, &job).await);

    let job = submit(&mut client, "deleted", endless_job()).await;
    let job = job.expect("accepted");
    reached(&mlflow, |content| {
        let run = content.runs.get(1)?;
        (!run.metrics.is_empty()).then_some(())
    })
    .await;
    mlflow.content().runs[1].is_deleted = true;
    let request = CancelJobRequest { job_id: job.job_id };
    client.cancel_job(request).await.expect("cancelled");
    run(&server, "after").await;
    let runs = reached(&mlflow, |content| ended(content, 2)).await;
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!((names.len(), names[2]), (3, "after"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_proxy_versions_name_the_storage() {
    let folder = tempfile::tempdir().expect("a folder");
    let mlflow = MlflowServer::start().await;
    mlflow.content().artifacts_at = Some("s3://bucket");
    let server = start(folder.path(), &mlflow).await;
    let job = run(&server, "a").await;
    reached(&mlflow, |content| content.champions.get("digits").cloned()).await;
    let source = {
        let content = mlflow.content();
        assert!(content.artifacts.is_empty());
        content.versions[0]["source"].as_str().map(str::to_owned)
    };
    let source = source.expect("a source");
    let id = &job.checkpoint_ids[0];
    assert!(
        source.starts_with("file://") && source.ends_with(&format!("/storage/checkpoints/{id}")),
        "{source}"
    );
    server.stop().await;
}
