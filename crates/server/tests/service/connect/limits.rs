//! The limits of gRPC: tokens, roles, sizes, deadlines, places and slow clients.

use std::time::Duration;

use digits_server::{ServerConfig, SlowClientLimits};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{JSON, SAY, envelope, packed, parts, post, say, start, stream, text, with_tokens};
use crate::support::secrets::Mounted;
use crate::support::{MAX_MESSAGE_BYTES, eventually, raw, series, within};

#[tokio::test]
async fn a_message_is_limited_before_and_after_it_is_unpacked() {
    let server = start("t_connect_bomb", ServerConfig::default()).await;
    let bomb = text(&"7".repeat(16 * MAX_MESSAGE_BYTES));
    // Text of which nothing is left in the message may be as long as a message.
    let spaces = [&b" ".repeat(MAX_MESSAGE_BYTES)[..], b"{}"].concat();
    for (encoding, body) in [
        ("identity", bomb[..=MAX_MESSAGE_BYTES].to_vec()),
        ("identity", spaces),
        ("gzip", packed("gzip", &bomb)),
        ("deflate", packed("deflate", &bomb)),
    ] {
        let headers = format!("Content-Encoding: {encoding}\r\n");
        let (status, answer) = say(&server, &headers, &body).await;
        assert_eq!(status, 400, "{encoding}: {answer}");
        assert_eq!(answer["code"], "out_of_range", "{answer}");
        let message = answer["message"].as_str().expect("a message");
        assert!(
            message.contains(&MAX_MESSAGE_BYTES.to_string()),
            "{message}"
        );
    }
    for encoding in ["gzip", "deflate"] {
        let headers = format!("Content-Encoding: {encoding}\r\n");
        let (status, answer) = say(&server, &headers, &packed(encoding, &text("7"))).await;
        assert_eq!((status, answer), (200, json!({"textValue": "7"})));
        let (status, answer) = say(&server, &headers, b"seven").await;
        assert_eq!(status, 400);
        let message = answer["message"].as_str().expect("a message");
        assert!(message.contains(encoding), "{message}");
    }
}

#[tokio::test]
async fn health_without_a_token_is_limited_to_the_name_of_a_service() {
    let mounted = Mounted::new(&[("tokens", "alice abc\n")]);
    let server = start("t_connect_name", with_tokens(&mounted)).await;
    let check = async |headers: &str, body: &[u8]| {
        let headers = format!("{JSON}{headers}");
        let request = post("/grpc.health.v1.Health/Check", &headers, body);
        raw(server.address, &request).await
    };
    let gzip = "Content-Encoding: gzip\r\n";
    let long = json!({"service": "7".repeat(5_000)}).to_string();
    let long = long.as_bytes();
    for (headers, body, status) in [
        ("", &b"{}"[..], 200),
        (gzip, &packed("gzip", b"{}"), 200),
        ("", long, 400),
        (gzip, &packed("gzip", long), 400),
    ] {
        let answer = check(headers, body).await;
        assert_eq!(parts(&answer).0, status, "{answer}");
        assert_eq!(answer.contains("4096 bytes"), status == 400, "{answer}");
    }
    let text = format!("\"{}\"", "\u{7f}".repeat(4_000));
    let answer = check("", text.as_bytes()).await;
    assert!(answer.contains("invalid JSON: "), "{answer}");
    assert!(answer.len() < 1_000, "{answer}");
}

#[tokio::test]
async fn tokens_are_checked_before_the_body_is_read() {
    let mounted = Mounted::new(&[("tokens", "alice abc\n")]);
    let server = start("t_connect_tokens", with_tokens(&mounted)).await;
    let authorized = "Authorization: Bearer abc\r\n";
    let (status, answer) = say(&server, authorized, &text("seven")).await;
    assert_eq!((status, answer), (200, json!({"textValue": "seven"})));
    for wrong in ["", "Authorization: Bearer abcd\r\n"] {
        // Without its body, for which nobody waits.
        let mut connection = server.tcp().await;
        let request = post(
            SAY,
            &format!("{JSON}{wrong}"),
            b"{\"textValue\": \"seven\"}",
        );
        let head = request.len() - 10;
        connection.write_all(&request[..head]).await.expect("sent");
        let mut answer = vec![0; 1024];
        let length = within(connection.read(&mut answer)).await.expect("read");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        let (status, head, _) = parts(&answer);
        assert_eq!(status, 401, "{answer}");
        assert!(head.contains("www-authenticate: bearer"), "{answer}");
        assert!(answer.contains(r#""code":"unauthenticated""#), "{answer}");
    }
}

#[tokio::test]
async fn roles_are_checked_before_the_body_is_read() {
    let digest: String = Sha256::digest("abc")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tokens = format!("bob watch {digest}\n");
    let mounted = Mounted::new(&[("tokens", &*tokens)]);
    let server = start("t_connect_roles", with_tokens(&mounted)).await;
    let headers = "Authorization: Bearer abc\r\n";
    let mut connection = server.tcp().await;
    let request = post(SAY, &format!("{JSON}{headers}"), &text("seven"));
    let without_end = &request[..request.len() - 3];
    connection.write_all(without_end).await.expect("sent");
    let mut answer = vec![0; 1024];
    let length = within(connection.read(&mut answer)).await.expect("read");
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains(r#""code":"permission_denied""#), "{answer}");
    let (_, messages) = stream(&server, headers, &envelope(0, &text("3"))).await;
    assert_eq!(messages.len(), 4);
}

#[tokio::test]
async fn a_deadline_ends_a_call() {
    let server = start("t_connect_deadline", ServerConfig::default()).await;
    let (status, answer) = say(&server, "Connect-Timeout-Ms: 20\r\n", &text("hold")).await;
    assert_eq!(status, 504);
    let expected = json!({"code": "deadline_exceeded", "message": "deadline exceeded"});
    assert_eq!(answer, expected);
    let (status, _) = say(&server, "Connect-Timeout-Ms: 9999999999\r\n", &text("7")).await;
    assert_eq!(status, 200);
    let late = r#"t_connect_deadline_grpc_requests_total{method="Say",code="DEADLINE_EXCEEDED"}"#;
    eventually("it is counted", || series(late) == Some(1.0)).await;
}

#[tokio::test]
async fn half_a_body_takes_no_place_and_ends() {
    let config = ServerConfig {
        max_in_flight: 1,
        slow_clients: SlowClientLimits {
            unfinished_request: Duration::from_millis(200),
            ..SlowClientLimits::default()
        },
        ..ServerConfig::default()
    };
    let server = start("t_connect_half", config).await;
    let mut half = server.tcp().await;
    let request = post(SAY, JSON, &text("seven"));
    let (sent, _) = request.split_at(request.len() - 3);
    half.write_all(sent).await.expect("sent");
    let (status, _) = say(&server, "", &text("another")).await;
    assert_eq!(status, 200);
    let mut answer = Vec::new();
    within(half.read_to_end(&mut answer)).await.expect("read");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert!(answer.contains(r#""code":"aborted""#), "{answer}");
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_as_such() {
    let server = start("t_connect_left", ServerConfig::default()).await;
    for (body, entered) in [(text("hold"), 1), (text("hold")[..5].to_vec(), 1)] {
        let mut connection = server.tcp().await;
        let length = text("hold").len();
        let head = format!(
            "POST {SAY} HTTP/1.1\r\nHost: localhost\r\n{JSON}Content-Length: {length}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.expect("sent");
        connection.write_all(&body).await.expect("sent");
        server.entered(entered).await;
        drop(connection);
    }
    let left = r#"t_connect_left_grpc_requests_total{method="Say",code="CANCELLED"}"#;
    eventually("both are counted", || series(left) == Some(2.0)).await;
    eventually("nothing is in flight", || {
        series("t_connect_left_grpc_requests_in_flight") == Some(0.0)
    })
    .await;
}

#[tokio::test]
async fn a_full_server_says_when_to_retry() {
    let config = ServerConfig {
        max_in_flight: 1,
        ..ServerConfig::default()
    };
    let server = start("t_connect_full", config).await;
    let request = post(SAY, JSON, &text("hold"));
    let held = tokio::spawn({
        let address = server.address;
        async move { raw(address, &request).await }
    });
    server.entered(1).await;
    let answer = raw(server.address, &post(SAY, JSON, &text("7"))).await;
    let (status, head, body) = parts(&answer);
    assert_eq!(status, 429, "{answer}");
    assert!(head.contains("retry-after: 1"), "{answer}");
    assert!(body.contains(r#""code":"resource_exhausted""#), "{answer}");
    server.echo.gate.send_replace(true);
    let held = within(held).await.expect("no panic");
    assert!(held.starts_with("HTTP/1.1 200 "), "{held}");
}
