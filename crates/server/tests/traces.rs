//! Spans and lines of single requests: against a collector that speaks OTLP, with W3C trace context in and on.

mod support;

use std::net::SocketAddr;

use digits_server::{RequestFlags, ServerConfig};
use digits_telemetry::traces::Traces;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use support::{Running, call, within};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector that passes on what it is sent.
struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        // The test ends when it has seen enough.
        let _ = self.0.send(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (
    SocketAddr,
    mpsc::UnboundedReceiver<ExportTraceServiceRequest>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (sender, received) = mpsc::unbounded_channel();
    let service = TraceServiceServer::new(Collector(sender));
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    (address, received)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    attribute.value.as_ref()?.value.as_ref()
}

async fn exporting(endpoint: SocketAddr) -> Traces {
    let flags = RequestFlags {
        otlp_endpoint: Some(format!("http://{endpoint}")),
        access_log: 0.0,
    };
    flags
        .traces("t-service")
        .expect("an address")
        .expect("wanted")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_a_span_under_its_callers() {
    let (endpoint, mut received) = collector().await;
    let traces = exporting(endpoint).await;
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

    let mut spans: Vec<Span> = Vec::new();
    while spans.len() < 3 {
        let request = within(received.recv()).await.expect("the collector runs");
        for resource in request.resource_spans {
            let attributes = &resource.resource.as_ref().expect("set").attributes;
            assert_eq!(
                value(attributes, "service.name"),
                Some(&Value::StringValue("t-service".to_owned()))
            );
            spans.extend(resource.scope_spans.into_iter().flat_map(|s| s.spans));
        }
    }
    assert_eq!(spans.len(), 3);
    let code = |span: &Span| match value(&span.attributes, "rpc.grpc.status_code") {
        Some(Value::IntValue(code)) => *code,
        other => panic!("no code but {other:?}"),
    };
    let error = |span: &Span| {
        let status = span.status.as_ref();
        status.is_some_and(|status| status.code() == StatusCode::Error)
    };
    // What the client did wrong is not the server's error.
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
async fn a_caller_that_does_not_sample_is_heeded_and_a_dead_collector_costs_no_request() {
    let (endpoint, mut received) = collector().await;
    let traces = exporting(endpoint).await;
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
    assert!(received.try_recv().is_err());

    // A port that nobody listens on.
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
