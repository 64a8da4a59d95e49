//! A client that takes all it can get leaves places and memory to the others.

use std::net::{Ipv4Addr, SocketAddr};

use digits_server::{ServerConfig, SlowClientLimits};
use digits_telemetry::readiness::Readiness;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::h2::{COUNT, Client, END_STREAM, SAY, data, headers, message, preface};
use crate::support::{Running, eventually, say, series};

/// A connection from another address than that of other clients.
async fn from(address: Ipv4Addr, server: &Running) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((address, 0))).expect("bound");
    socket.connect(server.address).await.expect("connected")
}

const GREEDY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

#[tokio::test]
async fn a_greedy_client_leaves_connections_to_others() {
    let config = ServerConfig {
        max_connections: 8,
        ..ServerConfig::default()
    };
    let server = Running::start("t_greedy_connections", config).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        let mut client = Client::over(from(GREEDY, &server).await);
        let _ = client.connection.write_all(&preface()).await;
        if client.acknowledged().await.is_some() {
            client.request(SAY, "hold").await;
            held.push(client);
            server.entered(held.len()).await;
        }
    }
    assert_eq!(held.len(), 7);
    let refused = r#"t_greedy_connections_connections_refused_total{reason="share"}"#;
    assert_eq!(series(refused), Some(3.0));
    assert!(say(server.channel().await, "seven").await.is_ok());
}

#[tokio::test]
async fn a_greedy_client_leaves_places_to_others() {
    let config = ServerConfig {
        max_in_flight: 16,
        ..ServerConfig::default()
    };
    let readiness = Readiness::new();
    let server = Running::start_with(
        "t_greedy",
        config,
        |server| server.with_readiness(readiness.clone()),
        |routes| routes,
    )
    .await;
    let mut greedy = Client::over(from(GREEDY, &server).await);
    greedy.connection.write_all(&preface()).await.expect("sent");
    for _ in 0..64 {
        greedy.request(SAY, "hold").await;
    }
    greedy.acknowledged().await.expect("connected");
    server.entered(14).await;
    let refused = r#"t_greedy_requests_refused_total{reason="in_flight"}"#;
    eventually("the others are refused", || series(refused) == Some(50.0)).await;
    eventually("it is shown", || {
        readiness.saturation() == Some("requests in flight")
    })
    .await;
    let polite = server.channel().await;
    for _ in 0..20 {
        assert!(say(polite.clone(), "seven").await.is_ok());
    }
    // As many as it was given, and no more.
    assert_eq!(*server.echo.entered.borrow(), 14 + 20);
    eventually("it is over", || readiness.saturation().is_none()).await;
}

#[tokio::test]
async fn requests_that_are_held_in_memory_are_bounded() {
    const PART: usize = 16 << 10;
    let config = ServerConfig {
        max_connections: 8,
        max_message_bytes: 64 << 10,
        max_bytes_in_flight: 1 << 20,
        ..ServerConfig::default()
    };
    let server = Running::start("t_bytes", config).await;
    let mut greedy = Client::over(from(GREEDY, &server).await);
    greedy.connection.write_all(&preface()).await.expect("sent");
    greedy.settle().await;
    // Each sends all but the end of a large message.
    let large = message(&"x".repeat(200 << 10));
    for _ in 0..8 {
        let stream = greedy.stream();
        let mut request = headers(stream, SAY);
        for part in large[..12 * PART].chunks(PART) {
            request.extend(data(stream, 0, part));
        }
        greedy.connection.write_all(&request).await.expect("sent");
        greedy.acknowledged().await.expect("connected");
    }
    let refused = r#"t_bytes_requests_refused_total{reason="bytes"}"#;
    eventually("some are refused", || series(refused) >= Some(1.0)).await;
    let bytes = || series("t_bytes_bytes_in_flight").unwrap_or(0.0);
    eventually("they are counted", || bytes() > 0.0).await;
    assert!(bytes() <= f64::from(1 << 20), "{}", bytes());
    let answered = say(server.channel().await, &"y".repeat(40 << 10)).await;
    assert_eq!(answered.expect("answered").len(), 40 << 10);
    drop(greedy);
    eventually("they are given back", || bytes() == 0.0).await;
}

#[tokio::test]
async fn responses_that_nobody_reads_are_bounded() {
    let config = ServerConfig {
        max_connections: 8,
        max_message_bytes: 64 << 10,
        max_bytes_in_flight: 1 << 20,
        slow_clients: SlowClientLimits {
            unread_response: std::time::Duration::from_secs(3600),
            ..SlowClientLimits::default()
        },
        ..ServerConfig::default()
    };
    let server = Running::start("t_unread_bytes", config).await;
    let mut greedy = Client::over(from(GREEDY, &server).await);
    greedy.connection.write_all(&preface()).await.expect("sent");
    let text = "x".repeat(12_000);
    for _ in 0..150 {
        let stream = greedy.stream();
        let request = [
            headers(stream, SAY),
            data(stream, END_STREAM, &message(&text)),
        ]
        .concat();
        greedy.connection.write_all(&request).await.expect("sent");
        // It reads them, but gives no window for more.
        greedy.acknowledged().await.expect("connected");
    }
    let refused = r#"t_unread_bytes_requests_refused_total{reason="bytes"}"#;
    eventually("some are refused", || series(refused) >= Some(1.0)).await;
    let bytes = || series("t_unread_bytes_bytes_in_flight").unwrap_or(0.0);
    eventually("they are counted", || bytes() > 0.0).await;
    assert!(bytes() <= f64::from(1 << 20), "{}", bytes());
    // Small requests of others are answered, and so are streams.
    let polite = server.channel().await;
    assert!(say(polite, "seven").await.is_ok());
    let mut reads = Client::connect(&server).await;
    let stream = reads.request(COUNT, "100").await;
    reads.ended(stream).await.expect("it ends");
    drop(greedy);
    eventually("they are given back", || bytes() == 0.0).await;
}
