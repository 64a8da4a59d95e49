//! Per-request spans, exported to an OTLP collector, with W3C trace context in and out.

use std::net::SocketAddr;

use digits_server::ServerConfig;
use digits_telemetry::traces::Traces;
use digits_testing::collector::{Collector, hex, value};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use tokio::net::TcpListener;
use tonic::Request;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use crate::support::secrets::Authority;
use crate::support::{Running, call, within};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

async fn exporting(endpoint: SocketAddr) -> Traces {
    Traces::export(&format!("http://{endpoint}"), None, "t-service").expect("an address")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_a_span_in_the_trace_of_its_caller() {
    let mut collector = Collector::start().await;
    let traces = exporting(collector.address).await;
    let config = ServerConfig {
        traces: Some(traces.clone()),
        ..ServerConfig::default()
    };
    let server = Running::start("t_traces", config).await;
    let channel = server.channel().await;
    for (text, fails) in [("seven", false), ("fail", true)] {
        let mut request = Request::new(text.to_owned());
        let context = format!("00-{TRACE}-{PARENT}-01");
        request
            .metadata_mut()
            .insert("traceparent", context.parse().expect("ASCII"));
        let answer = call(channel.clone(), request, "/test.v1.Echo/Say").await;
        assert_eq!(answer.is_err(), fails);
    }
    let unknown = call(channel, Request::new(String::new()), "/test.v1.Echo/Nope");
    unknown.await.expect_err("unknown");
    traces.finish().await;

    let spans = collector.spans("t-service", 3).await;
    assert_eq!(spans.len(), 3);
    let code = |span: &Span| match value(&span.attributes, "rpc.grpc.status_code") {
        Some(Value::IntValue(code)) => *code,
        other => panic!("no code but {other:?}"),
    };
    let error = |span: &Span| {
        let status = span.status.as_ref();
        status.is_some_and(|status| status.code() == StatusCode::Error)
    };
    // An error of the client is not one of the server.
    for (span, name, expected, failed) in [
        (&spans[0], "Say", 0, false),
        (&spans[1], "Say", 3, false),
        (&spans[2], "other", 12, true),
    ] {
        assert_eq!((span.name.as_str(), code(span)), (name, expected));
        assert_eq!(error(span), failed, "{expected}");
        assert_eq!(span.kind(), SpanKind::Server);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    for span in &spans[..2] {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert_eq!(hex(&span.parent_span_id), PARENT);
    }
    assert_ne!(hex(&spans[2].trace_id), TRACE);
}

#[tokio::test(flavor = "multi_thread")]
async fn unsampled_callers_get_no_span_and_a_dead_collector_fails_no_request() {
    let mut collector = Collector::start().await;
    let traces = exporting(collector.address).await;
    let config = ServerConfig {
        traces: Some(traces.clone()),
        ..ServerConfig::default()
    };
    let server = Running::start("t_unsampled", config).await;
    let mut request = Request::new("seven".to_owned());
    let context = format!("00-{TRACE}-{PARENT}-00");
    request
        .metadata_mut()
        .insert("traceparent", context.parse().expect("ASCII"));
    call(server.channel().await, request, "/test.v1.Echo/Say")
        .await
        .expect("said");
    traces.finish().await;
    assert!(collector.is_empty());

    // A port without a listener.
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nowhere = closed.local_addr().expect("bound");
    drop(closed);
    let traces = exporting(nowhere).await;
    let config = ServerConfig {
        traces: Some(traces.clone()),
        ..ServerConfig::default()
    };
    let server = Running::start("t_dead", config).await;
    let request = Request::new("seven".to_owned());
    call(server.channel().await, request, "/test.v1.Echo/Say")
        .await
        .expect("said");
    within(traces.finish()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_trusted_by_its_certificate_authority() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let pair = ours.issue("collector");
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(&pair.certificate, &pair.key));
    let server = Server::builder().tls_config(tls).expect("good PEM");
    let mut collector = Collector::start_on(server).await;
    let folder = tempfile::tempdir().expect("a folder");
    for (authority, trusted) in [(&theirs, false), (&ours, true)] {
        let ca = folder.path().join("ca.crt");
        std::fs::write(&ca, &authority.pem).expect("written");
        let endpoint = format!("https://localhost:{}", collector.address.port());
        let traces = Traces::export(&endpoint, Some(&ca), "t-service").expect("good");
        let span = traces.begin_caused("", "work", Vec::new());
        span.end(Vec::new(), false);
        within(traces.finish()).await;
        if trusted {
            let spans = collector.spans("t-service", 1).await;
            assert_eq!(spans[0].name, "work");
        } else {
            assert!(collector.is_empty());
        }
    }
    let bad = folder.path().join("bad.crt");
    std::fs::write(&bad, "no certificate").expect("written");
    let refused = Traces::export("https://localhost:4317", Some(&bad), "t-service");
    let refused = refused.expect_err("no certificate in it");
    assert!(refused.to_string().contains("--otlp-ca-file"), "{refused}");
}
