//! The real binary: its ready file, its exit codes, its end by SIGTERM.
#![allow(clippy::unwrap_used)]

mod support;

use digits_proto::v1::inference_service_client::InferenceServiceClient;
use std::{
    process::{Child, Command, Output},
    time::{Duration, Instant},
};
use support::{Client, Net, Store, image, pixels};
use tonic::{Code, transport::Channel};

const BINARY: &str = env!("CARGO_BIN_EXE_digits-inference");

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Only still there where a test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn bad_configuration_exits_64_with_one_line() {
    let cases: [(&[&str], &str); 6] = [
        (&[], "--storage"),
        (&["--storage", "x", "--listen", "nowhere"], "--listen"),
        (&["--storage", "x", "--models", "a,a"], "--models"),
        (&["--storage", "ftp://x/y"], "--storage"),
        (&["--storage", "x", "--access-log", "2"], "--access-log"),
        (
            &["--storage", "x", "--otlp-endpoint", "collector:4317"],
            "--otlp-endpoint",
        ),
    ];
    for (arguments, flag) in cases {
        let output = run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
        assert!(
            text.contains(flag) && text.trim().lines().count() == 1,
            "{arguments:?}: {text}"
        );
    }
    let output = run(&["health", "--admin-listen", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_answers_what_is_in_flight() {
    let store = Store::new();
    store.serve("digits", 1, &Net::favouring(3, 1)).await;
    let ready = store.folder.path().join("ready.json");
    let log = store.folder.path().join("log.json");
    let command = Command::new(BINARY)
        .args([
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--shutdown-delay",
            "300ms",
            "--access-log",
            "1",
            "--log-format",
            "json",
            "--ready-file",
        ])
        .arg(&ready)
        .arg("--storage")
        .arg(store.path())
        .env_clear()
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn();
    let mut process = Running(command.unwrap());
    let give_up = Instant::now() + Duration::from_secs(20);
    let wait = async || {
        assert!(Instant::now() < give_up, "too slow");
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    while !ready.exists() {
        wait().await;
    }
    let addresses: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&ready).unwrap()).unwrap();
    let health = [
        "health",
        "--admin-listen",
        addresses["admin"].as_str().unwrap(),
    ];
    while !run(&health).status.success() {
        wait().await;
    }
    let url = format!("http://{}", addresses["grpc"].as_str().unwrap());
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let mut client: Client = InferenceServiceClient::new(channel);
    let mut request = tonic::Request::new(pixels("", image(1)));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for (name, value) in [
        ("x-request-id", "seven".to_owned()),
        ("traceparent", format!("00-{trace}-b7ad6b7169203331-01")),
    ] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    client.predict(request).await.unwrap();
    let calling = tokio::spawn(async move {
        let mut answered = 0;
        loop {
            match client.predict(pixels("", image(1))).await {
                Ok(_) => answered += 1,
                Err(status) => return (answered, status),
            }
        }
    });
    let begin = Instant::now();
    let id = rustix::process::Pid::from_child(&process.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let (answered, status) = calling.await.unwrap();
    // Answered all through the delay; then a connection that takes no more, never an answer that was cut off.
    assert!(
        begin.elapsed() >= Duration::from_millis(250),
        "closed after {:?}",
        begin.elapsed()
    );
    assert!(answered > 0);
    assert!(
        matches!(status.code(), Code::Unavailable | Code::Cancelled),
        "{status:?}"
    );
    let own = std::error::Error::source(&status).map(ToString::to_string);
    assert_eq!(
        own.as_deref(),
        Some("transport error"),
        "the client found the port closed: {status:?}"
    );
    let exit = loop {
        if let Some(exit) = process.0.try_wait().unwrap() {
            break exit;
        }
        wait().await;
    };
    assert_eq!(exit.code(), Some(0));
    let log = std::fs::read_to_string(&log).unwrap();
    let line = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|line| line["request_id"] == "seven")
        .expect("a line for the request");
    assert_eq!(line["target"], "digits_access");
    assert_eq!(
        (&line["method"], &line["code"]),
        (&"Predict".into(), &"OK".into())
    );
    assert_eq!(line["trace_id"], trace);
    assert!(line["seconds"].as_f64().unwrap() > 0.0);
}
