//! An OTLP trace collector in the test's process that keeps the spans it receives.

use std::net::SocketAddr;

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

use crate::patience;

/// Forwards each export request to the test.
struct Service(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        // Fails when the test has dropped its collector; the exporter still gets a response.
        let _ = self.0.send(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A running collector. The server stops with the test's runtime.
pub struct Collector {
    /// Where it listens, on the loopback interface.
    pub address: SocketAddr,
    received: mpsc::UnboundedReceiver<ExportTraceServiceRequest>,
}

impl Collector {
    /// Starts a collector that accepts plain text.
    pub async fn start() -> Self {
        Self::start_on(Server::builder()).await
    }

    /// Starts a collector on `server`, which carries the transport's settings, such as TLS.
    ///
    /// # Panics
    /// When no port is free.
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

    /// Waits for at least `at_least` spans of `service` and returns them together with those that
    /// arrived in the same export request.
    ///
    /// # Panics
    /// When they do not arrive within [`patience`], or spans of another service do.
    pub async fn spans(&mut self, service: &str, at_least: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        while spans.len() < at_least {
            let received = timeout(patience(), self.received.recv()).await;
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

    /// Whether every export request received so far was returned by [`Self::spans`].
    pub fn is_empty(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

/// The lower-case hexadecimal form of a trace or span id.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of an attribute, if there is one of this name.
#[must_use]
pub fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    attribute.value.as_ref()?.value.as_ref()
}
