//! Pages of other origins (CORS), and the host names that a port on the loopback answers to.

use digits_server::{GrpcServer, ServerConfig};
use digits_telemetry::hosts::AllowedHosts;

use crate::support::h2::frame;
use crate::support::{Running, post, raw};

const WEB: &str = "application/grpc-web+proto";

async fn server(prefix: &'static str, origins: &[&str], hosts: &[&str]) -> Running {
    let hosts = hosts.iter().map(|it| it.parse().expect("a host"));
    let origins = origins.iter().map(|it| it.parse().expect("an origin"));
    let config = ServerConfig {
        cors_origins: origins.collect(),
        allowed_hosts: AllowedHosts::new(hosts.collect()),
        ..ServerConfig::default()
    };
    let page = axum::Router::new().route("/page", axum::routing::get(async || "a page"));
    let with_page = |server: GrpcServer| server.with_pages(page);
    Running::start_with(prefix, config, with_page, |routes| routes).await
}

/// A request with further headers, each with its line end.
fn with(request: &[u8], headers: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    text.replacen("\r\n", &format!("\r\n{headers}"), 1)
        .into_bytes()
}

fn preflight(path: &str, origin: &str) -> Vec<u8> {
    let request = format!(
        "OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: {origin}\r\n\
         Access-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: authorization,content-type,x-grpc-web\r\n\r\n"
    );
    request.into_bytes()
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

#[tokio::test]
async fn pages_of_allowed_origins_may_call_grpc_web_and_http() {
    let server = server(
        "t_cors",
        &["https://app.example", "http://localhost:8080"],
        &[],
    )
    .await;
    let say = post("localhost", WEB, &frame("seven"));
    let page = b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for (origin, allowed) in [
        ("https://app.example", true),
        ("http://localhost:8080", true),
        ("https://app.example:8443", false),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let expected = allowed.then_some(origin);
        for path in ["/test.v1.Echo/Say", "/v2/models/digits/infer"] {
            let answer = raw(server.address, &preflight(path, origin)).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            let answered = |name: &str| header(&answer, &format!("access-control-{name}"));
            assert_eq!(answered("allow-origin"), expected, "{answer}");
            let headers = answered("allow-headers").expect("headers");
            assert!(headers.contains("authorization"), "{answer}");
            let methods = answered("allow-methods").expect("methods");
            assert!(methods.contains("POST"), "{answer}");
            assert_eq!(answered("max-age"), Some("7200"));
            assert_eq!(answered("allow-credentials"), None);
        }
        for (request, body) in [(&say[..], "grpc-status:0"), (page, "a page")] {
            let request = with(request, &format!("Origin: {origin}\r\n"));
            let answer = raw(server.address, &request).await;
            assert!(answer.contains(body), "{answer}");
            let answered = |name: &str| header(&answer, &format!("access-control-{name}"));
            assert_eq!(answered("allow-origin"), expected, "{answer}");
            let exposed = answered("expose-headers").expect("headers");
            for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
                assert!(exposed.split(',').any(|it| it == name), "{answer}");
            }
        }
    }
}

#[tokio::test]
async fn every_origin_is_allowed_by_a_star() {
    let server = server("t_cors_any", &["*"], &[]).await;
    let request = preflight("/test.v1.Echo/Say", "https://any.example");
    let answer = raw(server.address, &request).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn without_origins_no_other_page_is_answered() {
    let server = server("t_cors_off", &[], &[]).await;
    let request = preflight("/test.v1.Echo/Say", "https://app.example");
    let answer = raw(server.address, &request).await;
    assert!(!answer.contains("access-control"), "{answer}");
}

#[tokio::test]
async fn a_loopback_port_answers_browsers_under_further_names() {
    let server = server("t_hosts", &[], &["host.docker.internal", "10.1.2.3"]).await;
    for (host, status) in [
        ("localhost", "200"),
        ("host.docker.internal:50052", "200"),
        ("10.1.2.3", "200"),
        ("[::ffff:10.1.2.3]:80", "200"),
        ("evil.example", "421"),
        ("10.1.2.4", "421"),
    ] {
        let answer = raw(server.address, &post(host, WEB, &frame("seven"))).await;
        let start = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&start), "{host}: {answer}");
        assert_eq!(
            answer.contains("--allowed-host"),
            status == "421",
            "{answer}"
        );
    }
}
