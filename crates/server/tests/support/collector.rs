//! A collector that speaks OTLP, and what it was sent.
#![allow(dead_code, clippy::expect_used, clippy::missing_panics_doc)]

use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// Spans leave in batches, every few seconds and at the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Passes on what it is sent.
struct Service(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        // The test ends when it has seen enough.
        let _ = self.0.send(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A running collector.
pub struct Collector {
    pub address: SocketAddr,
    received: mpsc::UnboundedReceiver<ExportTraceServiceRequest>,
}

impl Collector {
    pub async fn start() -> Self {
        Self::start_on(Server::builder()).await
    }

    /// With TLS, or whatever else the server was told.
    pub async fn start_on(mut server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (sender, received) = mpsc::unbounded_channel();
        tokio::spawn(
            server
                .add_service(TraceServiceServer::new(Service(sender)))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, received }
    }

    /// The next spans of `service`, as many as these and those that came with the last.
    pub async fn spans(&mut self, service: &str, at_least: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        while spans.len() < at_least {
            let received = timeout(PATIENCE, self.received.recv()).await;
            let request = received.expect("in time").expect("the collector runs");
            for resource in request.resource_spans {
                let attributes = &resource.resource.as_ref().expect("set").attributes;
                assert_eq!(
                    value(attributes, "service.name"),
                    Some(&Value::StringValue(service.to_owned()))
                );
                spans.extend(resource.scope_spans.into_iter().flat_map(|s| s.spans));
            }
        }
        spans
    }

    /// Whether nothing came that was not asked for yet.
    pub fn is_empty(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    attribute.value.as_ref()?.value.as_ref()
}
