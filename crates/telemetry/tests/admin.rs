//! The admin port over real HTTP.

use std::net::{Ipv4Addr, SocketAddr};

use digits_telemetry::liveness::Liveness;
use digits_telemetry::readiness::Readiness;
use digits_telemetry::{admin, metrics};
use digits_testing::{patience, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Admin {
    address: SocketAddr,
    readiness: Readiness,
    liveness: Liveness,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(recorder: metrics::Recorder) -> Admin {
    let readiness = Readiness::new();
    let liveness = Liveness::default();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (server, address) = admin::bind(any, recorder, readiness.clone(), liveness.clone())
        .await
        .expect("bound");
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(server.serve(shutdown.clone()));
    Admin {
        address,
        readiness,
        liveness,
        shutdown,
        task,
    }
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    tokio::time::timeout(patience(), stream.read_to_string(&mut answer))
        .await
        .expect("in time")
        .expect("read");
    answer
}

async fn get(address: SocketAddr, path: &str, host: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    ask(address, &request).await
}

#[tokio::test]
async fn probes_and_metrics_are_answered() {
    let (prometheus, recorder) = metrics::build(&[]).expect("recorder");
    let admin = start(recorder).await;
    let own = admin.address.to_string();

    ::metrics::with_local_recorder(&prometheus, || {
        ::metrics::counter!("t_total", "state" => "done").increment(3);
    });
    let answer = get(admin.address, "/metrics", &own).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4"),
        "{answer}"
    );
    assert!(answer.contains("t_total{state=\"done\"} 3"), "{answer}");

    assert!(
        get(admin.address, "/livez", &own)
            .await
            .starts_with("HTTP/1.1 200 OK")
    );
    let lost = format!(
        "POST /digits.v1.InferenceService/Predict HTTP/1.1\r\nHost: {own}\r\nContent-Type: application/grpc\r\nConnection: close\r\n\r\n"
    );
    let answer = ask(admin.address, &lost).await;
    assert!(answer.contains("grpc-status: 12"), "{answer}");
    assert!(answer.contains("this is the admin port"), "{answer}");
    let answer = get(admin.address, "/health", &own).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("/livez"), "{answer}");

    let answer = get(admin.address, "/readyz", &own).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("not ready: starting"), "{answer}");
    admin.readiness.set_ready();
    assert!(
        get(admin.address, "/readyz", &own)
            .await
            .starts_with("HTTP/1.1 200 OK")
    );
    admin.readiness.set_not_ready("shutting down");
    assert!(
        get(admin.address, "/readyz", &own)
            .await
            .contains("not ready: shutting down")
    );

    admin.liveness.fail("a task died");
    let answer = get(admin.address, "/livez", &own).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("not live: a task died\n"), "{answer}");
}

#[tokio::test]
async fn odd_requests_are_refused_and_do_no_harm() {
    let (_prometheus, recorder) = metrics::build(&[]).expect("recorder");
    let admin = start(recorder).await;
    for (request, expected) in [
        (
            "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n",
            "HTTP/1.1 421 ",
        ),
        (
            "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1.evil.example:80\r\n",
            "HTTP/1.1 421 ",
        ),
        ("GET /metrics HTTP/1.1\r\nHost: \u{fc}\r\n", "HTTP/1.1 421 "),
        (
            "POST /metrics HTTP/1.1\r\nHost: localhost\r\n",
            "HTTP/1.1 405 ",
        ),
        ("GET /nope HTTP/1.1\r\nHost: localhost\r\n", "HTTP/1.1 404 "),
        ("nonsense\r\n", "HTTP/1.1 400 "),
        ("GET /livez HTTP/1.0\r\n", "HTTP/1.0 200 "),
    ] {
        let answer = ask(
            admin.address,
            &format!("{request}Connection: close\r\n\r\n"),
        )
        .await;
        assert!(answer.starts_with(expected), "{request}: {answer}");
    }
    assert!(
        get(admin.address, "/livez", "localhost")
            .await
            .ends_with("ok\n")
    );
}

#[tokio::test]
async fn shutdown_ends_it_even_with_a_connection_open() {
    let (_prometheus, recorder) = metrics::build(&[]).expect("recorder");
    let admin = start(recorder).await;
    let mut open = TcpStream::connect(admin.address).await.expect("connected");
    open.write_all(b"GET /metrics HTTP/1.1\r\n")
        .await
        .expect("sent");
    admin.shutdown.cancel();
    tokio::time::timeout(patience(), admin.task)
        .await
        .expect("in time")
        .expect("no panic");
    let refused = until("the port refuses connections", async || {
        Ok(TcpStream::connect(admin.address).await.err())
    });
    refused.await.expect("refused");
}
