//! The admin port over real HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use digits_telemetry::admin::AdminLimits;
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
    start_with(recorder, AdminLimits::default()).await
}

async fn start_with(recorder: metrics::Recorder, limits: AdminLimits) -> Admin {
    let readiness = Readiness::new();
    let liveness = Liveness::default();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (server, address) = admin::bind(any, recorder, readiness.clone(), liveness.clone())
        .await
        .expect("bound");
    let shutdown = CancellationToken::new();
    let serving = server.with_limits(limits).serve(shutdown.clone());
    let task = tokio::spawn(serving);
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
    admin.readiness.set_saturation(Some("requests in flight"));
    let answer = get(admin.address, "/readyz", &own).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        answer.ends_with("ok, but saturated: requests in flight\n"),
        "{answer}"
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

async fn closed(connection: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is as good.
    let _ = tokio::time::timeout(patience(), connection.read_to_end(&mut rest))
        .await
        .expect("in time");
}

#[tokio::test]
async fn silent_connections_make_room_for_a_scrape() {
    let (_prometheus, recorder) = metrics::build(&[]).expect("recorder");
    let limits = AdminLimits {
        max_connections: 4,
        idle: Duration::from_secs(3600),
    };
    let admin = start_with(recorder, limits).await;
    let own = admin.address.to_string();
    let mut scraper = TcpStream::connect(admin.address).await.expect("connected");
    let scrape = format!("GET /livez HTTP/1.1\r\nHost: {own}\r\n\r\n");
    let mut silent = Vec::new();
    // Each answer makes the connection the newest one, whatever else is opened.
    for _ in 0..4 {
        for begun in ["", "GET /metrics HTTP/1.1\r\n"] {
            let mut connection = TcpStream::connect(admin.address).await.expect("connected");
            connection.write_all(begun.as_bytes()).await.expect("sent");
            silent.push(connection);
        }
        scraper.write_all(scrape.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            let read = tokio::time::timeout(patience(), scraper.read_buf(&mut answer));
            assert_ne!(read.await.expect("in time").expect("read"), 0);
        }
    }
    for connection in &mut silent[..5] {
        closed(connection).await;
    }
}

#[tokio::test]
async fn a_connection_without_an_answer_is_closed() {
    let (_prometheus, recorder) = metrics::build(&[]).expect("recorder");
    let limits = AdminLimits {
        idle: Duration::from_millis(50),
        ..AdminLimits::default()
    };
    let admin = start_with(recorder, limits).await;
    for begun in ["", "GET /metrics HTTP/1.1\r\nHost: local"] {
        let mut connection = TcpStream::connect(admin.address).await.expect("connected");
        connection.write_all(begun.as_bytes()).await.expect("sent");
        closed(&mut connection).await;
    }
}
