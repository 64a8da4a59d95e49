//! Spans of requests, exported over OTLP/gRPC, and W3C trace context (<https://www.w3.org/TR/trace-context/>) in and out of headers.
//! What a request is, is the caller's to say; nothing here is done unless an endpoint is given.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use std::time::Duration;

pub use opentelemetry::KeyValue;

/// What an export may take, in the middle of work and at the end.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// Not an address of a collector.
    #[error("--otlp-endpoint must be an address such as http://collector:4317")]
    Endpoint(#[source] Option<ExporterBuildError>),
}

/// Exports the spans of this process. Clones share the exporter.
///
/// Spans are batched on a thread of their own; what does not fit its queue, or cannot be delivered, is dropped. Which requests
/// are sampled is what the caller's trace context says, else what OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say, else
/// all of them.
#[derive(Clone, Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Starts exporting to a collector at `endpoint`, such as `http://collector:4317`. Call it on a runtime; nothing is
    /// connected before the first span ends.
    ///
    /// # Errors
    /// [`TracesError`] when that is no address.
    pub fn export(endpoint: &str, service: &'static str) -> Result<Self, TracesError> {
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(TracesError::Endpoint(None));
        }
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|error| TracesError::Endpoint(Some(error)))?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(
                Resource::builder()
                    .with_service_name(service)
                    .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                    .build(),
            )
            .build();
        let tracer = provider.tracer(service);
        Ok(Self { provider, tracer })
    }

    /// Begins a server's span under what the headers say, and makes it what they say from here on.
    #[must_use]
    pub fn begin(
        &self,
        headers: &mut HeaderMap,
        name: String,
        attributes: Vec<KeyValue>,
    ) -> RequestSpan {
        let propagator = TraceContextPropagator::new();
        let parent = propagator.extract(&Headers(headers));
        let span = self
            .tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .with_attributes(attributes)
            .start_with_context(&self.tracer, &parent);
        let context = span.span_context().clone();
        propagator.inject_context(
            &Context::new().with_remote_span_context(context),
            &mut HeadersMut(headers),
        );
        RequestSpan(span)
    }

    /// Sends what has ended and stops. Waits for the collector, but not long.
    pub async fn finish(self) {
        // It blocks, and the exporter needs this runtime to send.
        let ended = tokio::task::spawn_blocking(move || {
            self.provider.shutdown_with_timeout(EXPORT_TIMEOUT)
        });
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "the last traces were not delivered");
        }
    }
}

/// The span of one request. Dropping it ends it.
#[derive(Debug)]
pub struct RequestSpan(Span);

impl RequestSpan {
    /// Ends it with what became of the request; `failed` says whether that was the server's fault.
    pub fn end(mut self, attributes: Vec<KeyValue>, failed: bool) {
        self.0.set_attributes(attributes);
        if failed {
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

/// The trace that the headers name, as 32 hexadecimal digits.
#[must_use]
pub fn trace_id(headers: &HeaderMap) -> Option<String> {
    let context = TraceContextPropagator::new().extract(&Headers(headers));
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::try_from(key);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_of_the_headers() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        for (value, expected) in [
            (format!("00-{id}-b7ad6b7169203331-01"), Some(id)),
            (format!("00-{id}-0000000000000000-01"), None),
            ("nonsense".to_owned(), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().expect("a header"));
            assert_eq!(trace_id(&headers).as_deref(), expected, "{value}");
        }
        assert_eq!(trace_id(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn an_endpoint_is_an_address() {
        for endpoint in ["collector:4317", "", "http://"] {
            let error = Traces::export(endpoint, "test").expect_err(endpoint);
            assert!(error.to_string().contains("--otlp-endpoint"), "{error}");
        }
    }
}
