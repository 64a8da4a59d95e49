//! The binary as a process: its ready file, its exit codes, its end by SIGTERM.

use crate::support::{Client, Net, Store, image, pixels, series};
use digits_proto::v1::{GetModelRequest, inference_service_client::InferenceServiceClient};
use digits_testing::{patience, until};
use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::OpenOptionsExt as _,
    process::{Child, Command, Output},
};
use tokio::task::JoinHandle;
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

/// The binary on a storage, once it is ready; its addresses and a client.
async fn start(store: &Store, more: &[&str]) -> (Running, serde_json::Value, Client) {
    let ready = store.folder.path().join("ready.json");
    let command = Command::new(BINARY)
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .args(["--log-format", "json", "--ready-file"])
        .arg(&ready)
        .arg("--storage")
        .arg(store.path())
        .args(more)
        .env_clear()
        .stderr(File::create(store.folder.path().join("log.json")).unwrap())
        .spawn();
    let process = Running(command.unwrap());
    holds("the ready file exists", || ready.exists()).await;
    let addresses: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&ready).unwrap()).unwrap();
    let admin = addresses["admin"].as_str().unwrap();
    let healthy = || run(&["health", "--admin-listen", admin]).status.success();
    holds("the service is healthy", healthy).await;
    let url = format!("http://{}", addresses["grpc"].as_str().unwrap());
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    (process, addresses, InferenceServiceClient::new(channel))
}

/// Waits until `done` holds.
async fn holds(what: &str, mut done: impl FnMut() -> bool) {
    let held = until(what, async || Ok(done().then_some(())));
    held.await.unwrap();
}

impl Running {
    fn terminate(&self) {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }

    async fn exit_code(&mut self) -> Option<i32> {
        let exit = until("the process exits", async || Ok(self.0.try_wait()?));
        exit.await.unwrap().code()
    }
}

/// The answer to a request for `path`, with its status line; `None` where nothing answers.
fn get(address: &str, path: &str) -> Option<String> {
    let mut connection = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The value of one series of `/metrics`, if there is one.
fn scraped(address: &str, name: &str) -> Option<f64> {
    series(&get(address, "/metrics")?, name)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_the_queue_get_responses_after_sigterm() {
    const REQUESTS: u64 = 24;
    let store = Store::new();
    let net = Net::with_hidden(&[1500, 1500], 3, 1);
    store.serve("digits", 1, &net).await;
    let (mut process, addresses, client) = start(
        &store,
        &["--shutdown-delay", "0s", "--shutdown-grace", "1h"],
    )
    .await;
    let send = || -> Vec<_> {
        let request = |number: u64| {
            let mut client = client.clone();
            let images: Vec<u8> = (0..100).flat_map(|it| image(number * 100 + it)).collect();
            tokio::spawn(async move { client.predict(pixels("", images)).await })
        };
        (0..REQUESTS).map(request).collect()
    };
    let admin = addresses["admin"].as_str().unwrap();
    let mut asking = send();
    // When all were answered before the queue was scraped, as many others are sent.
    let waiting = until("requests wait in the queue", async || {
        if asking.iter().all(JoinHandle::is_finished) {
            asking = send();
        }
        Ok(scraped(admin, "digits_inference_queue_requests").filter(|&count| count > 0.0))
    });
    let waiting = waiting.await.unwrap();
    process.terminate();
    let mut answered = 0;
    for answer in asking {
        match answer.await.unwrap() {
            Ok(response) => {
                assert_eq!(response.into_inner().predictions.len(), 100);
                answered += 1;
            }
            // It came when the service took no more.
            Err(status) => assert!(
                matches!(status.code(), Code::Unavailable | Code::Cancelled),
                "{status:?}"
            ),
        }
    }
    assert!(
        answered as f64 >= waiting,
        "{answered} answers, {waiting} waited"
    );
    assert_eq!(process.exit_code().await, Some(0));
}

/// A file that never comes to be read stands for a network file system that hangs.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_the_service_while_the_storage_hangs() {
    let store = Store::new();
    store.serve("digits", 1, &Net::favouring(3, 1)).await;
    let (mut process, _, mut client) = start(&store, &[]).await;
    let record = store.path().join(format!("serving/digits/{:020}.json", 2));
    let made = Command::new("mkfifo").arg(&record).status();
    assert!(made.unwrap().success());
    // The storage hangs at the record; released, it has no record, and hangs at the next poll for
    // good.
    holds("the record is being read", || {
        let opened = File::options()
            .write(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(&record);
        opened.is_ok()
    })
    .await;
    client.predict(pixels("", image(1))).await.unwrap();
    process.terminate();
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_get_responses_after_sigterm() {
    let store = Store::new();
    store.serve("digits", 1, &Net::favouring(3, 1)).await;
    // Long enough to see /readyz fail and to be answered after that, on a slow machine too.
    let delay = format!("{}ms", (patience() / 20).as_millis());
    let more = ["--shutdown-delay", &delay, "--access-log", "1"];
    let (mut process, addresses, mut client) = start(&store, &more).await;
    let mut request = tonic::Request::new(pixels("", image(1)));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for (name, value) in [
        ("x-request-id", "seven".to_owned()),
        ("traceparent", format!("00-{trace}-b7ad6b7169203331-01")),
    ] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    client.predict(request).await.unwrap();
    client.get_model(GetModelRequest::default()).await.unwrap();
    let mut late = client.clone();
    let calling = tokio::spawn(async move {
        loop {
            if let Err(status) = client.predict(pixels("", image(1))).await {
                return status;
            }
        }
    });
    process.terminate();
    let admin = addresses["admin"].as_str().unwrap();
    holds("/readyz is 503", || {
        get(admin, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 503 "))
    })
    .await;
    // Requests are answered during the delay. Then the connection accepts no more of them, and no
    // response is cut off.
    late.predict(pixels("", image(1))).await.unwrap();
    let status = calling.await.unwrap();
    // tonic's client calls a request that a GOAWAY refused INTERNAL.
    let refused = status.code() == Code::Internal
        && format!("{status:?}").contains(r#"GoAway(b"", NO_ERROR, Remote)"#);
    assert!(
        refused || matches!(status.code(), Code::Unavailable | Code::Cancelled),
        "{status:?}"
    );
    let own = std::error::Error::source(&status).map(ToString::to_string);
    assert_eq!(
        own.as_deref(),
        Some("transport error"),
        "the client found the port closed: {status:?}"
    );
    assert_eq!(process.exit_code().await, Some(0));
    let log = std::fs::read_to_string(store.folder.path().join("log.json")).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let line = lines
        .iter()
        .find(|line| line["request_id"] == "seven")
        .expect("a line for the request");
    assert_eq!(line["target"], "digits_access");
    assert_eq!(
        (&line["method"], &line["code"]),
        (&"Predict".into(), &"OK".into())
    );
    assert_eq!(line["trace_id"], trace);
    assert!(line["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (&line["model"], &line["sequence"], &line["role"]),
        (&"digits".into(), &1.into(), &"primary".into())
    );
    let other = lines
        .iter()
        .find(|line| line["method"] == "GetModel")
        .expect("a line for a question that no model answers");
    assert!(other.get("role").is_none(), "{other}");
}
