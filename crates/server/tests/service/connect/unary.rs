//! Calls with one request and one response, uploads, and the description of the methods.

use digits_server::ServerConfig;
use serde_json::{Value, json};

use super::{COUNT, JSON, SAY, parts, post, say, start, text, with_tokens};
use crate::support::secrets::Mounted;
use crate::support::{MAX_MESSAGE_BYTES, eventually, raw, series};

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

#[tokio::test]
async fn bytes_of_one_field_are_a_request() {
    let server = start("t_connect_upload", ServerConfig::default()).await;
    let upload =
        |query: &str, headers: &str, body: &[u8]| post(&format!("/say{query}"), headers, body);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (request, status, body) in [
        (upload("", "", b"seven"), 200, "{}"),
        (
            upload("?textValue=a+b%21", form, b"seven"),
            200,
            r#"{"textValue":"a b!"}"#,
        ),
        (
            upload("?textValue=seven", "Accept: text/plain\r\n", b"7"),
            200,
            "7 bytes\n",
        ),
        (
            upload("", JSON, &text("json")),
            200,
            r#"{"textValue":"json"}"#,
        ),
        (
            upload("?textValue=a", JSON, &text("json")),
            400,
            "query: must be empty",
        ),
        (
            upload("", "Content-Type: Application/Connect+JSON\r\n", b"seven"),
            415,
            "",
        ),
        (
            upload("", "Content-Type: Multipart/form-data\r\n", b"seven"),
            415,
            "",
        ),
        (
            upload("?textValve=a", "", b"seven"),
            400,
            "query: test.v1.Text has no parameter",
        ),
        (
            upload(
                "",
                "Content-Type: multipart/form-data; boundary=x\r\n",
                b"--x",
            ),
            415,
            "",
        ),
        (
            upload("?textValue=fail", "", b"seven"),
            400,
            "must not be fail",
        ),
    ] {
        let answer = raw(server.address, &request).await;
        let (answered, _, answer) = parts(&answer);
        assert_eq!(answered, status, "{answer}");
        assert!(answer.contains(body), "{answer}");
    }
    let get = b"GET /say HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(raw(server.address, get).await.starts_with("HTTP/1.1 405 "));
    let ok = r#"t_connect_upload_grpc_requests_total{method="Say",code="OK"}"#;
    eventually("they are counted", || series(ok) == Some(4.0)).await;
}

#[tokio::test]
async fn the_methods_are_described() {
    let server = start("t_connect_openapi", ServerConfig::default()).await;
    let get = async |path: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        raw(server.address, request.as_bytes()).await
    };
    let answer = get("/openapi.json").await;
    let (status, head, body) = parts(&answer);
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    let document: Value = serde_json::from_str(body).expect("JSON");
    let paths: Vec<_> = document["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .collect();
    assert_eq!(paths, ["/say", COUNT, SAY]);
    for path in ["/api", "/page/api.js", "/page/api.css"] {
        assert!(get(path).await.starts_with("HTTP/1.1 200 "), "{path}");
    }
}
