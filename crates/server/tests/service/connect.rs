//! The Connect protocol: calls with JSON and protobuf, errors, and the limits of gRPC.

use std::io::Write as _;
use std::time::Duration;

use digits_server::{
    CredentialFlags, MethodRoles, Role, Roles, ServerConfig, SlowClientLimits, connect,
};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    MethodDescriptorProto, ServiceDescriptorProto,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::secrets::Mounted;
use crate::support::{MAX_MESSAGE_BYTES, METHODS, Running, eventually, raw, series, within};

const SAY: &str = METHODS[0];
const COUNT: &str = METHODS[1];

/// The descriptors of the service of these tests, whose messages have one string.
fn descriptors() -> Vec<u8> {
    let text = DescriptorProto {
        name: Some("Text".to_owned()),
        field: vec![FieldDescriptorProto {
            name: Some("text_value".to_owned()),
            json_name: Some("textValue".to_owned()),
            number: Some(1),
            label: Some(Label::Optional.into()),
            r#type: Some(Type::String.into()),
            ..FieldDescriptorProto::default()
        }],
        ..DescriptorProto::default()
    };
    let method = |name: &str, streams| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".test.v1.Text".to_owned()),
        output_type: Some(".test.v1.Text".to_owned()),
        server_streaming: Some(streams),
        ..MethodDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("test.proto".to_owned()),
        package: Some("test.v1".to_owned()),
        message_type: vec![text],
        service: vec![ServiceDescriptorProto {
            name: Some("Echo".to_owned()),
            method: vec![method("Say", false), method("Count", true)],
            ..ServiceDescriptorProto::default()
        }],
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

async fn start(prefix: &'static str, config: ServerConfig) -> Running {
    let config = ServerConfig {
        max_message_bytes: MAX_MESSAGE_BYTES,
        ..config
    };
    let schema = connect::schema(&descriptors(), &["test.v1.Echo"]).expect("a schema");
    let with_connect = |server: digits_server::GrpcServer| server.with_connect(schema);
    Running::start_with(prefix, config, with_connect, |routes| routes).await
}

/// A request with `headers`, each with its line end, and a body.
fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

const JSON: &str = "Content-Type: application/json\r\n";

/// Status, headers in lower case, and body of an answer.
fn parts(answer: &str) -> (u16, String, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head[9..12].parse().expect("a status");
    (status, head.to_ascii_lowercase(), body)
}

async fn say(server: &Running, headers: &str, body: &[u8]) -> (u16, Value) {
    let headers = format!("{JSON}{headers}");
    let answer = raw(server.address, &post(SAY, &headers, body)).await;
    let (status, _, body) = parts(&answer);
    let json = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    (status, json)
}

fn text(value: &str) -> Vec<u8> {
    json!({ "textValue": value }).to_string().into_bytes()
}

#[tokio::test]
async fn a_call_with_json_is_answered_with_json() {
    let server = start("t_connect", ServerConfig::default()).await;
    for request in [r#"{"textValue":"seven"}"#, r#"{"text_value": "seven"}"#] {
        let (status, answer) = say(&server, "", request.as_bytes()).await;
        assert_eq!((status, answer), (200, json!({"textValue": "seven"})));
    }
    let headers = format!("{JSON}Connect-Protocol-Version: 1\r\nX-Request-Id: r-7\r\n");
    let answer = raw(server.address, &post(SAY, &headers, b"{}")).await;
    let (status, head, body) = parts(&answer);
    assert_eq!((status, body), (200, "{}"));
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("x-request-id: r-7"), "{head}");
    assert!(!head.contains("grpc-"), "{head}");
    let ok = r#"t_connect_grpc_requests_total{method="Say",code="OK"}"#;
    eventually("they are counted", || series(ok) == Some(3.0)).await;
    assert_eq!(series("t_connect_grpc_requests_in_flight"), Some(0.0));
    // A long message, which is translated on another thread.
    let long = "7".repeat(MAX_MESSAGE_BYTES / 2);
    let (status, answer) = say(&server, "", &text(&long)).await;
    assert_eq!(status, 200);
    assert_eq!(answer["textValue"], long);
}

#[tokio::test]
async fn a_call_with_protobuf_is_answered_with_protobuf() {
    let server = start("t_connect_proto", ServerConfig::default()).await;
    let headers = "Content-Type: application/proto\r\n";
    let answer = raw(server.address, &post(SAY, headers, b"\x0a\x05seven")).await;
    let (status, head, body) = parts(&answer);
    assert_eq!((status, body), (200, "\x0a\x05seven"));
    assert!(head.contains("content-type: application/proto"), "{head}");
    let malformed = raw(server.address, &post(SAY, headers, b"\x0a\x99")).await;
    let (status, head, body) = parts(&malformed);
    assert_eq!(status, 400, "{malformed}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(body.contains("invalid_argument"), "{body}");
}

#[tokio::test]
async fn health_is_answered_without_a_token() {
    let mounted = Mounted::new(&[("tokens", "alice abc\n")]);
    let server = start("t_connect_health", with_tokens(&mounted)).await;
    server.health.set_serving().await;
    let path = "/grpc.health.v1.Health/Check";
    let answer = raw(server.address, &post(path, JSON, b"{}")).await;
    let (status, _, body) = parts(&answer);
    assert_eq!((status, body), (200, r#"{"status":"SERVING"}"#));
}

#[tokio::test]
async fn a_request_that_is_no_call_is_refused_by_http() {
    let server = start("t_connect_http", ServerConfig::default()).await;
    let get = format!("GET {SAY} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{JSON}\r\n");
    for (request, status, header) in [
        (get.into_bytes(), 405, "allow: post"),
        (
            post(SAY, "Content-Type: text/plain\r\n", b"{}"),
            415,
            "accept-post: application/json, application/proto",
        ),
        (post(SAY, "", b"{}"), 415, "accept-post: application/json"),
        (post("/test.v1.Echo/Shout", JSON, b"{}"), 404, ""),
        (
            post(
                SAY,
                &format!("{JSON}Connect-Protocol-Version: 2\r\n"),
                b"{}",
            ),
            400,
            "application/json",
        ),
        (
            post(SAY, &format!("{JSON}Content-Encoding: br\r\n"), b"{}"),
            501,
            "application/json",
        ),
        (
            post(SAY, &format!("{JSON}Connect-Timeout-Ms: soon\r\n"), b"{}"),
            400,
            "application/json",
        ),
    ] {
        let answer = raw(server.address, &request).await;
        let (answered, head, _) = parts(&answer);
        assert_eq!(answered, status, "{answer}");
        assert!(head.contains(header), "{answer}");
    }
    let unimplemented = r#"t_connect_http_grpc_requests_total{method="Say",code="UNIMPLEMENTED"}"#;
    eventually("they are counted", || series(unimplemented) == Some(4.0)).await;
}

#[tokio::test]
async fn errors_are_those_of_the_protocol() {
    let server = start("t_connect_errors", ServerConfig::default()).await;
    let (status, answer) = say(&server, "", &text("fail")).await;
    let expected = json!({"code": "invalid_argument", "message": "text: must not be fail"});
    assert_eq!((status, answer), (400, expected));
    for (request, part) in [
        ("", "EOF"),
        ("null", "test.v1.Text"),
        ("[]", "test.v1.Text"),
        ("{", "EOF"),
        ("{}{}", "trailing"),
        (r#"{"textValve": "x"}"#, "no field \"textValve\""),
        (r#"{"textValue": 7}"#, "expected a string"),
        (r#"{"textValue": "\ud800"}"#, "line 1"),
        ("\u{feff}{}", "line 1"),
    ] {
        let (status, answer) = say(&server, "", request.as_bytes()).await;
        assert_eq!(status, 400, "{request}: {answer}");
        assert_eq!(answer["code"], "invalid_argument", "{answer}");
        let message = answer["message"].as_str().expect("a message");
        assert!(
            message.starts_with("invalid JSON: ") && message.contains(part),
            "{message}"
        );
    }
    let deep = "[".repeat(100_000);
    let (status, _) = say(&server, "", deep.as_bytes()).await;
    assert_eq!(status, 400);
    let invalid = r#"t_connect_errors_grpc_requests_total{method="Say",code="INVALID_ARGUMENT"}"#;
    eventually("they are counted", || series(invalid) == Some(11.0)).await;
    assert_eq!(*server.echo.entered.borrow(), 1);
}

fn packed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    if encoding == "gzip" {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("memory");
        return encoder.finish().expect("memory");
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

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

fn with_tokens(mounted: &Mounted) -> ServerConfig {
    const ROLES: MethodRoles = &[
        (METHODS[0], Roles::of(&[Role::Train])),
        (METHODS[1], Roles::of(&[Role::Watch])),
    ];
    let flags = CredentialFlags {
        token_file: Some(mounted.path("tokens")),
        ..CredentialFlags::default()
    };
    ServerConfig {
        credentials: flags.load().expect("good tokens"),
        roles: ROLES,
        ..ServerConfig::default()
    }
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

#[tokio::test]
async fn a_stream_is_left_to_grpc() {
    let server = start("t_connect_stream", ServerConfig::default()).await;
    let answer = raw(server.address, &post(COUNT, JSON, &text("3"))).await;
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
}
