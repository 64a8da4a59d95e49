//! Webhooks: what is sent, to a receiver that fails, is silent or is away.

use crate::support::{Server, reach, small_job, submit, watch_to_end};
use axum::{Router, extract::State, http::StatusCode, routing::post};
use digits_proto::v1::{JobState, PromoteRequest, RollbackRequest};
use digits_testing::until;
use serde_json::Value;
use std::{
    collections::VecDeque,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinHandle};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a receiver does with its next requests, and what it has received.
#[derive(Default)]
struct Script {
    /// Statuses of the next responses; 0 is none at all. Then 204.
    statuses: VecDeque<u16>,
    received: Vec<Value>,
}

struct Receiver {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

impl Receiver {
    async fn start(address: &str, statuses: &[u16]) -> Self {
        let script = Arc::new(Mutex::new(Script {
            statuses: statuses.iter().copied().collect(),
            received: Vec::new(),
        }));
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new()
            .route("/hooks", post(receive))
            .with_state(Arc::clone(&script));
        let task =
            tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
        Self {
            address,
            script,
            task,
        }
    }

    fn received(&self) -> Vec<Value> {
        self.script.lock().expect("the script").received.clone()
    }

    /// The types of the events, without their prefix, once there are at least `count`.
    async fn types(&self, count: usize) -> Vec<String> {
        let found = until("the events", async || {
            let received = self.received();
            Ok((received.len() >= count).then_some(received))
        });
        let types = found.await.expect("received").into_iter().map(|event| {
            let kind = event["type"].as_str().expect("a type");
            kind.trim_start_matches("digits.v1.").to_owned()
        });
        types.collect()
    }
}

async fn receive(State(script): State<Arc<Mutex<Script>>>, body: String) -> StatusCode {
    let status = {
        let mut script = script.lock().expect("the script");
        let event = serde_json::from_str(&body).expect("JSON");
        script.received.push(event);
        script.statuses.pop_front().unwrap_or(204)
    };
    if status == 0 {
        std::future::pending::<()>().await;
    }
    StatusCode::from_u16(status).expect("a status")
}

async fn start(folder: &Path, receivers: &[SocketAddr]) -> Server {
    let secret = folder.join("secret");
    fs::write(&secret, SECRET).expect("a file");
    let mut arguments = vec![
        "--webhook-secret-file".to_owned(),
        secret.display().to_string(),
    ];
    for address in receivers {
        arguments.extend(["--webhook".to_owned(), format!("http://{address}/hooks")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Server::start(folder, &arguments).await
}

async fn run(server: &Server, name: &str) -> String {
    let mut client = server.training().await;
    let job = submit(&mut client, name, small_job(1))
        .await
        .expect("accepted");
    watch_to_end(&mut client, &job.job_id, 0).await;
    reach(&mut client, &job.job_id, JobState::Succeeded)
        .await
        .checkpoint_ids
        .remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_what_is_served_is_an_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start("127.0.0.1:0", &[]).await;
    let server = start(folder.path(), &[receiver.address]).await;
    let first = run(&server, "a").await;
    let mut expected = vec!["checkpoint.published", "checkpoint.promoted", "job.ended"];
    assert_eq!(receiver.types(3).await, expected);

    let mut checkpoints = server.checkpoints().await;
    let request = PromoteRequest {
        model: "digits".to_owned(),
        checkpoint_id: first.clone(),
        expected_sequence: 1,
        by: "somebody".to_owned(),
        ..PromoteRequest::default()
    };
    checkpoints.promote(request).await.expect("promoted");
    // The promotion by hand holds the next one back.
    let second = run(&server, "b").await;
    let request = RollbackRequest {
        model: "digits".to_owned(),
        to_sequence: 1,
        expected_sequence: 2,
        by: "somebody".to_owned(),
    };
    checkpoints.rollback(request).await.expect("rolled back");
    expected.extend([
        "checkpoint.promoted",
        "checkpoint.published",
        "checkpoint.refused",
    ]);
    expected.extend(["job.ended", "checkpoint.rolled_back"]);
    assert_eq!(receiver.types(8).await, expected);
    let events = receiver.received();
    assert_eq!(events[3]["data"]["record"]["by"], "somebody");
    assert_eq!(events[3]["id"], format!("{first}-promoted-2"));
    let refused = &events[5]["data"];
    assert_eq!(refused["checkpoint_id"], second);
    assert_eq!(
        refused["promotion"]["not_promoted"],
        "NOT_PROMOTED_REASON_HOLD"
    );
    assert_eq!(events[7]["id"], format!("{first}-rolled-back-3"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_repeated_and_refusals_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    // The publication fails twice, then the promotion is refused.
    let receiver = Receiver::start("127.0.0.1:0", &[503, 404, 204, 422]).await;
    let server = start(folder.path(), &[receiver.address]).await;
    run(&server, "a").await;
    let published = "checkpoint.published";
    let expected = [
        published,
        published,
        published,
        "checkpoint.promoted",
        "job.ended",
    ];
    assert_eq!(receiver.types(5).await, expected);
    let ids: Vec<Value> = receiver.received()[..3]
        .iter()
        .map(|event| event["id"].clone())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_other_receivers_do_not_wait_for_a_silent_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let silent = Receiver::start("127.0.0.1:0", &[0]).await;
    let other = Receiver::start("127.0.0.1:0", &[]).await;
    let server = start(folder.path(), &[silent.address, other.address]).await;
    run(&server, "a").await;
    assert_eq!(other.types(3).await.len(), 3);
    assert_eq!(silent.types(1).await, ["checkpoint.published"]);
    // The trainer's end does not wait for it either, and the next start delivers.
    server.stop().await;
    let server = start(folder.path(), &[silent.address, other.address]).await;
    let types = silent.types(4).await;
    assert_eq!(
        types[1..],
        ["checkpoint.published", "checkpoint.promoted", "job.ended"]
    );
    assert_eq!(other.received().len(), 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_away_gets_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let away = Receiver::start("127.0.0.1:0", &[]).await;
    let address = away.address;
    away.task.abort();
    let _ = away.task.await;
    let server = start(folder.path(), &[address]).await;
    for name in ["a", "b", "c"] {
        run(&server, name).await;
    }
    let back = Receiver::start(&address.to_string(), &[]).await;
    let types = back.types(9).await;
    assert_eq!(types.iter().filter(|kind| *kind == "job.ended").count(), 3);
    server.stop().await;
}
