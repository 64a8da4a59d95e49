//! Authentication: every request but health checks and files of a page needs a listed token.

use std::time::Duration;

use axum::routing::post;
use digits_server::page::{File, Kind, router};
use digits_server::{CredentialFlags, ServerConfig};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::secrets::Mounted;
use crate::support::{METHODS, Running, call, count, eventually, raw, series, within};

const SAY: &str = METHODS[0];

async fn start(prefix: &'static str, mounted: &Mounted) -> Running {
    let flags = CredentialFlags {
        token_file: Some(mounted.path("tokens")),
        ..CredentialFlags::default()
    };
    let config = ServerConfig {
        credentials: flags.load().expect("good tokens"),
        credentials_interval: Duration::from_millis(10),
        access_log: 1.0,
        ..ServerConfig::default()
    };
    let page = router([File::new("/", Kind::Html, b"<p>hello</p>")]);
    let rest = |_| axum::Router::new().route("/v2/say", post(async |body: String| body));
    Running::start_with(
        prefix,
        config,
        |server| server.with_pages(page).with_http(rest),
        |routes| routes,
    )
    .await
}

async fn say(channel: &Channel, authorization: Option<&str>) -> Result<String, Status> {
    let mut request = Request::new("hello".to_owned());
    if let Some(value) = authorization {
        let value = value.parse().expect("a header");
        request.metadata_mut().insert("authorization", value);
    }
    call(channel.clone(), request, SAY).await
}

async fn check_refused(channel: &Channel, authorization: Option<&str>) {
    let status = say(channel, authorization).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unauthenticated, "{authorization:?}");
    let message = status.message();
    assert!(message.contains("authorization: Bearer TOKEN"), "{message}");
    assert!(!message.contains("abc"), "{message}");
}

#[tokio::test]
async fn a_request_needs_a_listed_token() {
    let mounted = Mounted::new(&[("tokens", "# of May\nalice abc\nbob def\n")]);
    let server = start("t_tokens", &mounted).await;
    let channel = server.channel().await;
    for wrong in [
        None,
        Some("Bearer abcd"),
        Some("Bearer ab"),
        Some("Bearer alice"),
        Some("Basic abc"),
        Some("abc"),
    ] {
        check_refused(&channel, wrong).await;
    }
    for right in ["Bearer abc", "bearer def"] {
        let answer = say(&channel, Some(right)).await;
        assert_eq!(answer.expect("answered"), "hello");
    }
    let streamed = count(channel.clone(), "3").await.expect_err("no token");
    assert_eq!(streamed.code(), Code::Unauthenticated);
    assert_eq!(*server.echo.entered.borrow(), 2);

    let refused = r#"t_tokens_grpc_requests_total{method="Say",code="UNAUTHENTICATED"}"#;
    eventually("refusals are counted", || series(refused) == Some(6.0)).await;
}

#[tokio::test]
async fn health_and_pages_need_no_token() {
    let mounted = Mounted::new(&[("tokens", "alice abc\n")]);
    let server = start("t_open", &mounted).await;
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let mut health = HealthClient::new(server.channel().await);
    within(health.check(request)).await.expect("open");
    let page = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = raw(server.address, page).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn rest_is_refused_before_its_body_arrives() {
    let mounted = Mounted::new(&[("tokens", "alice abc\n")]);
    let server = start("t_rest", &mounted).await;
    let head = "POST /v2/say HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    // The body is never sent.
    let refused = raw(
        server.address,
        format!("{head}Content-Length: 1000\r\n\r\n").as_bytes(),
    )
    .await;
    let lower = refused.to_ascii_lowercase();
    assert!(lower.starts_with("http/1.1 401"), "{refused}");
    assert!(lower.contains("www-authenticate: bearer\r\n"), "{refused}");
    assert!(
        refused.contains(r#"{"error":"this service needs a token"#),
        "{refused}"
    );
    let refusals = r#"t_rest_grpc_requests_total{method="other",code="UNAUTHENTICATED"}"#;
    eventually("it is counted", || series(refusals) == Some(1.0)).await;

    let rest = "Authorization: Bearer abc\r\nContent-Length: 5\r\n\r\nhello";
    let answer = raw(server.address, format!("{head}{rest}").as_bytes()).await;
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn grpc_web_needs_a_token_too() {
    let mounted = Mounted::new(&[("tokens", "alice abc\n")]);
    let server = start("t_tokens_web", &mounted).await;
    let request = |header: &str| {
        // A frame with the message "hi", as field 1.
        let mut request = format!(
            "POST {SAY} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\
             Content-Type: application/grpc-web+proto\r\nContent-Length: 9\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(b"\0\0\0\0\x04\x0a\x02hi");
        request
    };
    let refused = raw(server.address, &request("")).await;
    assert!(
        refused.to_ascii_lowercase().contains("grpc-status: 16"),
        "{refused}"
    );
    let answer = raw(server.address, &request("Authorization: Bearer abc\r\n")).await;
    assert!(answer.contains("grpc-status:0"), "{answer}");
}

#[tokio::test]
async fn tokens_are_replaced_without_an_outage() {
    let mut mounted = Mounted::new(&[("tokens", "alice abc\n")]);
    let server = start("t_replaced", &mounted).await;
    let channel = server.channel().await;
    let reloaded = r#"t_replaced_credentials_reloads_total{result="reloaded"}"#;

    mounted.swap(&[("tokens", "alice abc\nalice new\n")]);
    eventually("both are loaded", || series(reloaded) == Some(1.0)).await;
    for token in ["Bearer abc", "Bearer new"] {
        assert!(say(&channel, Some(token)).await.is_ok(), "{token}");
    }
    mounted.swap(&[("tokens", "alice new\n")]);
    eventually("one is loaded", || series(reloaded) == Some(2.0)).await;
    check_refused(&channel, Some("Bearer abc")).await;

    // A broken file invalidates no token.
    mounted.swap(&[("tokens", "alice\n")]);
    let failed = r#"t_replaced_credentials_reloads_total{result="failed"}"#;
    eventually("it is counted", || series(failed) >= Some(1.0)).await;
    assert!(say(&channel, Some("Bearer new")).await.is_ok());
}
