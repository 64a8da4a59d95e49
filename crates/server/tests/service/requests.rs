//! Requests over each protocol: their responses and metrics.

use digits_server::ServerConfig;
use digits_testing::until;
use tokio::io::AsyncWriteExt as _;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::support::h2::{data, frame, headers, preface};
use crate::support::{
    METHODS, Running, call, count, eventually, post, raw, say, say_to, series, within,
};

#[tokio::test]
async fn requests_are_counted_by_method_and_code() {
    let server = Running::start("t_exact", ServerConfig::default()).await;
    let channel = server.channel().await;
    assert_eq!(METHODS.len(), 2);

    for _ in 0..3 {
        assert_eq!(say(channel.clone(), "seven").await.expect("said"), "seven");
    }
    let refused = say(channel.clone(), "fail").await.expect_err("refused");
    assert_eq!(refused.code(), Code::InvalidArgument);
    for path in ["/test.v1.Echo/Nope", "/no.Service/Say"] {
        let unknown = call(channel.clone(), Request::new(String::new()), path)
            .await
            .expect_err("unknown");
        assert_eq!(unknown.code(), Code::Unimplemented, "{path}");
    }
    let mut numbers = count(channel.clone(), "3").await.expect("counts");
    let mut got = Vec::new();
    while let Some(number) = within(numbers.message()).await.expect("a number") {
        got.push(number);
    }
    assert_eq!(got, ["0", "1", "2"]);
    let refused = count(channel.clone(), "many").await.expect_err("refused");
    assert_eq!(refused.code(), Code::InvalidArgument);

    for (labels, expected) in [
        (r#"method="Say",code="OK""#, 3.0),
        (r#"method="Say",code="INVALID_ARGUMENT""#, 1.0),
        (r#"method="Count",code="OK""#, 1.0),
        (r#"method="Count",code="INVALID_ARGUMENT""#, 1.0),
        (r#"method="other",code="UNIMPLEMENTED""#, 2.0),
        (r#"method="other",code="OK""#, 0.0),
    ] {
        let name = format!("t_exact_grpc_requests_total{{{labels}}}");
        assert_eq!(series(&name), Some(expected), "{name}");
    }
    for (method, expected) in [("Say", 4.0), ("Count", 2.0), ("other", 2.0)] {
        let name = format!(r#"t_exact_grpc_request_duration_seconds_count{{method="{method}"}}"#);
        assert_eq!(series(&name), Some(expected), "{name}");
    }
    assert_eq!(series("t_exact_grpc_requests_in_flight"), Some(0.0));
}

#[tokio::test]
async fn a_stream_is_in_flight_until_its_client_cancels_it() {
    const CANCELLED: &str = r#"t_left_grpc_requests_total{method="Count",code="CANCELLED"}"#;
    let server = Running::start("t_left", ServerConfig::default()).await;
    let mut numbers = count(server.channel().await, "forever")
        .await
        .expect("counts");
    assert_eq!(
        within(numbers.message()).await.expect("a number"),
        Some("0".to_owned())
    );
    assert_eq!(series("t_left_grpc_requests_in_flight"), Some(1.0));
    assert_eq!(series(CANCELLED), None);
    drop(numbers);
    eventually("the stream is counted", || series(CANCELLED) == Some(1.0)).await;
    assert_eq!(series("t_left_grpc_requests_in_flight"), Some(0.0));
}

#[tokio::test]
async fn a_request_whose_connection_breaks_counts_as_cancelled() {
    let server = Running::start("t_broken", ServerConfig::default()).await;
    let mut connection = server.tcp().await;
    // Without the end of its body.
    let body = &frame("seven")[..7];
    let request = [preface(), headers(1, "/test.v1.Echo/Say"), data(1, 0, body)].concat();
    connection.write_all(&request).await.expect("sent");
    let in_flight = |count| series("t_broken_grpc_requests_in_flight") == Some(count);
    eventually("it has begun", || in_flight(1.0)).await;
    drop(connection);
    eventually("it has ended", || in_flight(0.0)).await;
    let counted = |code: &str| {
        let labels = format!(r#"method="Say",code="{code}""#);
        series(&format!("t_broken_grpc_requests_total{{{labels}}}"))
    };
    assert_eq!(counted("CANCELLED"), Some(1.0));
    assert_eq!(counted("UNKNOWN"), None);
}

#[tokio::test]
async fn a_request_past_its_deadline_ends_with_deadline_exceeded() {
    const LATE: &str = r#"t_late_grpc_requests_total{method="Say",code="DEADLINE_EXCEEDED"}"#;
    let server = Running::start("t_late", ServerConfig::default()).await;
    // Not a gRPC client, which would apply the deadline too.
    let mut request = post("localhost", "application/grpc-web+proto", &frame("hold"));
    let header = b"grpc-timeout: 50m\r\n";
    let at = request
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("the end of the headers")
        + 2;
    request.splice(at..at, header.iter().copied());
    let answer = raw(server.address, &request).await;
    assert!(answer.contains("grpc-status: 4"), "{answer}");
    eventually("the request is counted", || series(LATE) == Some(1.0)).await;
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_but_health_is_answered() {
    let config = ServerConfig {
        max_in_flight: 1,
        ..ServerConfig::default()
    };
    let server = Running::start("t_limit", config).await;
    let channel = server.channel().await;
    let held = tokio::spawn(say(channel.clone(), "hold"));
    server.entered(1).await;

    let refused = say(channel.clone(), "one too many")
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let retry = refused.get_details_retry_info().expect("when to try again");
    assert!(retry.retry_delay.is_some_and(|delay| !delay.is_zero()));
    let health = HealthClient::new(channel.clone())
        .check(HealthCheckRequest::default())
        .await;
    assert!(health.is_ok(), "{health:?}");

    server.echo.gate.send_replace(true);
    assert_eq!(within(held).await.expect("no panic").expect("said"), "hold");
    assert_eq!(say(channel, "again").await.expect("said"), "again");
    for (code, expected) in [("OK", 2.0), ("RESOURCE_EXHAUSTED", 1.0)] {
        let name = format!(r#"t_limit_grpc_requests_total{{method="Say",code="{code}"}}"#);
        assert_eq!(series(&name), Some(expected), "{name}");
    }
    assert_eq!(series("t_limit_grpc_requests_in_flight"), Some(0.0));
}

#[tokio::test]
async fn health_watches_are_bounded_and_checks_are_answered() {
    let config = ServerConfig {
        max_health_watches: 2,
        ..ServerConfig::default()
    };
    let server = Running::start("t_watches", config).await;
    let mut client = HealthClient::new(server.channel().await);
    let mut watch = async || {
        let watch = client.watch(HealthCheckRequest::default()).await;
        watch.map(|watch| watch.into_inner())
    };
    let first = watch().await.expect("open");
    let _second = watch().await.expect("open");
    let refused = watch().await.expect_err("one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let check = HealthClient::new(server.channel().await)
        .check(HealthCheckRequest::default())
        .await;
    assert!(check.is_ok(), "{check:?}");
    drop(first);
    let again = until("a watch is possible again", async || Ok(watch().await.ok()));
    again.await.expect("open");
}

#[tokio::test]
async fn a_response_carries_the_id_of_its_request() {
    let server = Running::start("t_id", ServerConfig::default()).await;
    for (id, echoed) in [
        ("4bf92f35-7", Some("4bf92f35-7")),
        (&*"x".repeat(129), None),
    ] {
        let mut request = post("localhost", "application/grpc-web+proto", &frame("seven"));
        let at = request.windows(4).position(|w| w == b"\r\n\r\n");
        let at = at.expect("the end of the headers") + 2;
        request.splice(at..at, format!("X-Request-Id: {id}\r\n").into_bytes());
        let answer = raw(server.address, &request).await;
        let got = answer
            .lines()
            .find_map(|line| line.strip_prefix("x-request-id: "));
        assert_eq!(got, echoed, "{answer}");
    }
    let mut request = Request::new("fail".to_owned());
    let id = "id-of-a-failure".parse().expect("a header's value");
    request.metadata_mut().insert("x-request-id", id);
    let refused = call(server.channel().await, request, "/test.v1.Echo/Say").await;
    let refused = refused.expect_err("refused");
    assert_eq!(
        refused.metadata().get("x-request-id").expect("its id"),
        "id-of-a-failure"
    );
}

#[tokio::test]
async fn a_rejection_carries_the_id_of_its_request() {
    let config = ServerConfig {
        max_in_flight: 1,
        ..ServerConfig::default()
    };
    let pages = |server: digits_server::GrpcServer| server.with_pages(axum::Router::new());
    let server = Running::start_with("t_id_refused", config, pages, |routes| routes).await;
    let held = tokio::spawn(say(server.channel().await, "hold"));
    server.entered(1).await;
    let mut request = Request::new("seven".to_owned());
    let id = "id-of-one-too-many".parse().expect("a header's value");
    request.metadata_mut().insert("x-request-id", id);
    let refused = call(server.channel().await, request, "/test.v1.Echo/Say").await;
    let refused = refused.expect_err("full");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(
        refused.metadata().get("x-request-id").expect("its id"),
        "id-of-one-too-many"
    );
    server.echo.gate.send_replace(true);
    held.await.expect("no panic").expect("said");

    let request = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Request-Id: plain\r\n\r\n";
    let foreign = request.replace("localhost", "elsewhere.example");
    for (request, status) in [(request, "404"), (&foreign, "421")] {
        let answer = raw(server.address, request.as_bytes()).await;
        let start = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&start), "{answer}");
        assert!(answer.contains("\r\nx-request-id: plain\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn http_calls_of_services_are_counted_and_limited() {
    let config = ServerConfig {
        max_in_flight: 1,
        ..ServerConfig::default()
    };
    let http = |server: digits_server::GrpcServer| {
        server.with_http(|services| {
            let refused = async || {
                let unserved = digits_server::EarlyRejection {
                    path: "/test.v1.Echo/Say",
                    code: Code::OutOfRange,
                };
                (axum::Extension(unserved), "refused")
            };
            let router = axum::Router::new().route("/refused", axum::routing::get(refused));
            router.route(
                "/say/{text}",
                axum::routing::get(
                    async move |axum::extract::Path(text): axum::extract::Path<String>| {
                        match say_to(services, &text).await {
                            Ok(said) => said,
                            Err(status) => format!("{:?}", status.code()),
                        }
                    },
                ),
            )
        })
    };
    let server = Running::start_with("t_http", config, http, |routes| routes).await;
    let get = |text: &str| {
        format!("GET /say/{text} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    };
    let answer = raw(server.address, get("seven").as_bytes()).await;
    assert!(answer.ends_with("seven"), "{answer}");
    let held = tokio::spawn(say(server.channel().await, "hold"));
    server.entered(2).await;
    let answer = raw(server.address, get("eight").as_bytes()).await;
    assert!(answer.ends_with("ResourceExhausted"), "{answer}");
    server.echo.gate.send_replace(true);
    within(held).await.expect("no panic").expect("said");
    let refused = b"GET /refused HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = raw(server.address, refused).await;
    assert!(answer.ends_with("refused"), "{answer}");
    for (code, expected) in [
        ("OK", 2.0),
        ("RESOURCE_EXHAUSTED", 1.0),
        ("OUT_OF_RANGE", 1.0),
    ] {
        let name = format!(r#"t_http_grpc_requests_total{{method="Say",code="{code}"}}"#);
        assert_eq!(series(&name), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn grpc_web_is_answered_over_http_1() {
    let server = Running::start("t_web", ServerConfig::default()).await;
    let web = "application/grpc-web+proto";

    let answer = raw(server.address, &post("localhost", web, &frame("seven"))).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(
        answer.contains("content-type: application/grpc-web+proto"),
        "{answer}"
    );
    assert!(answer.contains("seven"), "{answer}");
    assert!(answer.contains("grpc-status:0"), "{answer}");

    let answer = raw(server.address, &post("127.0.0.1:1", web, &frame("fail"))).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("grpc-status: 3"), "{answer}");

    for (code, expected) in [("OK", 1.0), ("INVALID_ARGUMENT", 1.0)] {
        let name = format!(r#"t_web_grpc_requests_total{{method="Say",code="{code}"}}"#);
        assert_eq!(series(&name), Some(expected), "{name}");
    }
}

#[tokio::test]
async fn other_requests_get_a_plain_text_response() {
    let server = Running::start("t_plain", ServerConfig::default()).await;
    let web = "application/grpc-web+proto";
    let get = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let cases = [
        (get("localhost").into_bytes(), "HTTP/1.1 404 "),
        (get("evil.example").into_bytes(), "HTTP/1.1 421 "),
        (
            post("evil.example:50051", web, &frame("x")),
            "HTTP/1.1 421 ",
        ),
        (
            post("localhost", "application/grpc", &frame("x")),
            "HTTP/1.1 505 ",
        ),
        (b"nonsense\r\n\r\n".to_vec(), "HTTP/1.1 400 "),
    ];
    for (request, expected) in cases {
        let answer = raw(server.address, &request).await;
        assert!(answer.starts_with(expected), "{expected}: {answer}");
    }
    assert_eq!(
        series(r#"t_plain_grpc_requests_total{method="Say",code="OK"}"#),
        Some(0.0)
    );
    assert_eq!(
        say(server.channel().await, "still here")
            .await
            .expect("said"),
        "still here"
    );
}

#[tokio::test]
async fn pages_and_grpc_share_the_port() {
    let pages = axum::Router::new().route("/", axum::routing::get(async || "a page"));
    let server = Running::start_with(
        "t_pages",
        ServerConfig::default(),
        |server| server.with_pages(pages),
        |routes| routes,
    )
    .await;
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = raw(server.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("a page"), "{answer}");
    assert_eq!(
        say(server.channel().await, "seven").await.expect("said"),
        "seven"
    );
}
