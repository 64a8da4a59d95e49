//! Clients that say nothing, send half a request, or do not read: they end, and take no place from
//! the others. Those that are merely quiet stay.

use std::time::Duration;

use axum::routing::get;
use digits_server::{ServerConfig, SlowClientLimits};
use digits_testing::patience;
use futures::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::h2::{COUNT, Client, SAY, preface_with_large_windows};
use crate::support::{Running, count, eventually, say, series, within};

/// A limit that no test reaches.
const NEVER: Duration = Duration::from_secs(3600);
/// A limit that is reached at once.
const SOON: Duration = Duration::from_millis(60);

/// Limits that no client reaches.
const PATIENT: SlowClientLimits = SlowClientLimits {
    first_bytes: NEVER,
    unfinished_request: NEVER,
    unread_response: NEVER,
    min_bytes_per_second: 1024,
};

fn config(slow_clients: SlowClientLimits) -> ServerConfig {
    ServerConfig {
        slow_clients,
        keepalive_interval: NEVER,
        ..ServerConfig::default()
    }
}

async fn closed(connection: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is as good.
    let _ = within(connection.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let server = Running::start(
        "t_silence",
        config(SlowClientLimits {
            first_bytes: SOON,
            ..PATIENT
        }),
    )
    .await;
    let mut quiet = Client::connect(&server).await;
    quiet.acknowledged().await.expect("connected");
    for begun in ["", "PRI * HT", "GET / HTTP/1.1"] {
        let mut silent = server.tcp().await;
        silent.write_all(begun.as_bytes()).await.expect("sent");
        closed(&mut silent).await;
    }
    let silent = r#"t_silence_connections_closed_total{reason="silent"}"#;
    eventually("they are counted", || series(silent) == Some(3.0)).await;
    // It has sent its preface, and may be quiet from then on.
    let stream = quiet.request(SAY, "seven").await;
    quiet.answer(stream, "seven").await.expect("answered");
}

#[tokio::test]
async fn connections_that_are_not_in_use_make_room_for_others() {
    let config = ServerConfig {
        max_connections: 4,
        ..config(PATIENT)
    };
    let server = Running::start("t_room", config).await;
    let displaced = r#"t_room_connections_closed_total{reason="displaced"}"#;
    let (used, busy) = (server.channel().await, server.channel().await);
    assert!(say(used.clone(), "first").await.is_ok());
    let held = tokio::spawn(say(busy.clone(), "hold"));
    server.entered(2).await;

    // Silent ones go first.
    let mut silent = join_all((0..2).map(|_| server.tcp())).await;
    eventually("they are accepted", || {
        series(r#"t_room_connections{state="silent"}"#) == Some(2.0)
    })
    .await;
    let mut third = Client::connect(&server).await;
    third.acknowledged().await.expect("connected");
    closed(&mut silent[0]).await;
    let mut fourth = Client::connect(&server).await;
    fourth.acknowledged().await.expect("connected");
    closed(&mut silent[1]).await;
    assert!(say(used.clone(), "still there").await.is_ok());

    // Then idle ones, the least recently used first, and never one with a request in flight.
    let mut fifth = Client::connect(&server).await;
    fifth.acknowledged().await.expect("connected");
    third.read_to_end().await;
    eventually("all are counted", || series(displaced) == Some(3.0)).await;
    assert!(say(used.clone(), "still there").await.is_ok());
    server.echo.gate.send_replace(true);
    assert!(within(held).await.expect("no panic").is_ok());
    assert!(say(busy, "still there").await.is_ok());
}

#[tokio::test]
async fn many_new_connections_wait_until_those_not_in_use_have_ended() {
    let config = ServerConfig {
        max_connections: 160,
        ..config(PATIENT)
    };
    let server = Running::start("t_displaced", config).await;
    // As many as one client may have. Each stays for a moment when its place is needed.
    let mut idle = Vec::new();
    for _ in 0..140 {
        let mut client = Client::connect(&server).await;
        client.acknowledged().await.expect("connected");
        idle.push(client);
    }
    let mut new = Vec::new();
    for _ in 0..140 {
        new.push(Client::connect(&server).await);
    }
    for client in &mut new {
        client.acknowledged().await.expect("not refused");
    }
}

#[tokio::test]
async fn half_a_request_takes_no_place_from_others() {
    let config = ServerConfig {
        max_in_flight: 1,
        ..config(PATIENT)
    };
    let server = Running::start("t_half", config).await;
    let mut half = Client::connect(&server).await;
    for _ in 0..8 {
        half.half_request().await;
    }
    half.acknowledged().await.expect("they have arrived");
    assert!(say(server.channel().await, "seven").await.is_ok());
}

#[tokio::test]
async fn half_a_request_ends_and_leaves_its_connection_open() {
    let server = Running::start(
        "t_half_ends",
        config(SlowClientLimits {
            unfinished_request: SOON,
            ..PATIENT
        }),
    )
    .await;
    let mut client = Client::connect(&server).await;
    let half = client.half_request().await;
    client.failed(half).await.expect("it ends alone");
    let stream = client.request(SAY, "seven").await;
    client.answer(stream, "seven").await.expect("answered");
    let aborted = r#"t_half_ends_grpc_requests_total{method="Say",code="ABORTED"}"#;
    assert_eq!(series(aborted), Some(1.0));

    // Over HTTP/1.1 it ends with its connection.
    let mut web = server.tcp().await;
    let half = "POST /test.v1.Echo/Say HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: 12\r\n\r\n\0\0";
    web.write_all(half.as_bytes()).await.expect("sent");
    closed(&mut web).await;
    let in_flight = "t_half_ends_grpc_requests_in_flight";
    eventually("none is left", || series(in_flight) == Some(0.0)).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_a_quiet_stream_is_not() {
    const PAGE: usize = 16 << 20;
    let unread = r#"t_unread_connections_closed_total{reason="unread"}"#;
    let in_flight = "t_unread_grpc_requests_in_flight";
    let page = axum::Router::new().route("/page", get(async || vec![7; PAGE]));
    let server = Running::start_with(
        "t_unread",
        config(SlowClientLimits {
            unread_response: SOON,
            ..PATIENT
        }),
        |server| server.with_pages(page),
        |routes| routes,
    )
    .await;
    let mut quiet = count(server.channel().await, "forever")
        .await
        .expect("open");
    let first = within(quiet.message()).await.expect("open");
    assert_eq!(first.as_deref(), Some("0"));

    // One reads, but gives no window for more; one does not read at all.
    let mut without_window = Client::connect(&server).await;
    without_window.request(COUNT, "100000000").await;
    without_window.read_to_end().await;
    let preface = preface_with_large_windows();
    let mut unread_stream = Client::connect_with(&server, &preface).await;
    unread_stream.request(COUNT, "100000000").await;
    eventually("both are closed", || series(unread) == Some(2.0)).await;
    let mut unread_page = server.tcp().await;
    let request = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n";
    unread_page.write_all(request).await.expect("sent");
    eventually("all are closed", || series(unread) == Some(3.0)).await;

    eventually("the quiet one is left", || series(in_flight) == Some(1.0)).await;
    let next = tokio::time::timeout(patience() / 100, quiet.message()).await;
    assert!(next.is_err(), "the stream ended: {next:?}");
}
