//! Exports trace spans over OTLP/gRPC and propagates W3C trace context
//! (<https://www.w3.org/TR/trace-context/>) through headers. The caller decides what gets a span;
//! without an endpoint nothing is exported.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

pub use opentelemetry::KeyValue;

const TRACEPARENT: &str = "traceparent";

/// Timeout of an export, including the last one at shutdown.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Errors of setting up the export of traces.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The endpoint is not the address of a collector.
    #[error("--otlp-endpoint must be an address such as http://collector:4317")]
    Endpoint(#[source] Option<ExporterBuildError>),
    /// The file with CA certificates cannot be read.
    #[error("--otlp-ca-file {}: {cause}", path.display())]
    CaFile {
        /// Path of the file.
        path: PathBuf,
        /// The I/O error.
        cause: io::Error,
    },
    /// CA certificates are given, but the endpoint does not use TLS.
    #[error("--otlp-ca-file needs an https:// --otlp-endpoint")]
    PlainText,
    /// The CA file holds no PEM certificates.
    #[error("--otlp-ca-file must hold certificates as PEM")]
    Ca(#[source] Option<ExporterBuildError>),
}

/// Exports the spans of this process. Clones share the exporter.
///
/// A background thread batches the spans; those that do not fit its queue or cannot be delivered
/// are dropped. Sampling follows the caller's trace context, else `OTEL_TRACES_SAMPLER` and
/// `OTEL_TRACES_SAMPLER_ARG`; by default every request is sampled.
#[derive(Clone, Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Starts exporting to a collector at `endpoint`, such as `http://collector:4317`.
    ///
    /// An https endpoint is verified with the system's CA certificates, or only with those in
    /// `ca_file` (PEM). Must be called on a Tokio runtime; it connects when the first span ends.
    ///
    /// # Errors
    /// [`TracesError`] when `endpoint` is not an http or https address, or `ca_file` is not usable.
    pub fn export(
        endpoint: &str,
        ca_file: Option<&Path>,
        service: &'static str,
    ) -> Result<Self, TracesError> {
        let secure = endpoint.starts_with("https://");
        if !endpoint.starts_with("http://") && !secure {
            return Err(TracesError::Endpoint(None));
        }
        let mut exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT);
        if !secure && ca_file.is_some() {
            return Err(TracesError::PlainText);
        }
        if secure {
            exporter = exporter.with_tls_config(tls(ca_file)?);
        }
        let exporter = exporter.build().map_err(|error| match ca_file {
            Some(_) if secure => TracesError::Ca(Some(error)),
            _ => TracesError::Endpoint(Some(error)),
        })?;
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

    /// Begins a server span as a child of the trace context in the headers, and replaces that
    /// context with the span's own.
    #[must_use]
    pub fn begin(
        &self,
        headers: &mut HeaderMap,
        name: String,
        attributes: Vec<KeyValue>,
    ) -> ActiveSpan {
        let propagator = TraceContextPropagator::new();
        let parent = propagator.extract(&Headers(headers));
        let span = self.start(SpanKind::Server, name, attributes, &parent);
        let context = span.span_context().clone();
        propagator.inject_context(
            &Context::new().with_remote_span_context(context),
            &mut HeadersMut(headers),
        );
        ActiveSpan(span)
    }

    /// Begins the span of work that was accepted earlier, as a child of the span in `traceparent`,
    /// or as the root of a new trace if `traceparent` is not valid.
    #[must_use]
    pub fn begin_caused(
        &self,
        traceparent: &str,
        name: &'static str,
        attributes: Vec<KeyValue>,
    ) -> ActiveSpan {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::try_from(traceparent) {
            headers.insert(TRACEPARENT, value);
        }
        let parent = TraceContextPropagator::new().extract(&Headers(&headers));
        ActiveSpan(self.start(SpanKind::Consumer, name.to_owned(), attributes, &parent))
    }

    fn start(
        &self,
        kind: SpanKind,
        name: String,
        attributes: Vec<KeyValue>,
        parent: &Context,
    ) -> Span {
        self.tracer
            .span_builder(name)
            .with_kind(kind)
            .with_attributes(attributes)
            .start_with_context(&self.tracer, parent)
    }

    /// Exports all ended spans and stops, within the export timeout.
    pub async fn finish(self) {
        // Shutting down blocks, and the exporter needs this runtime to send.
        let ended = tokio::task::spawn_blocking(move || {
            self.provider.shutdown_with_timeout(EXPORT_TIMEOUT)
        });
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "the last spans could not be exported at shutdown");
        }
    }
}

/// TLS settings for the collector.
fn tls(ca_file: Option<&Path>) -> Result<ClientTlsConfig, TracesError> {
    let tls = ClientTlsConfig::new();
    let Some(path) = ca_file else {
        return Ok(tls.with_native_roots());
    };
    let pem = fs::read(path).map_err(|cause| TracesError::CaFile {
        path: path.to_owned(),
        cause,
    })?;
    // With a file that holds no certificate, every connection would fail without a clear error.
    let begin = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(begin.len()).any(|part| part == begin) {
        return Err(TracesError::Ca(None));
    }
    Ok(tls.ca_certificate(Certificate::from_pem(pem)))
}

/// A span that has begun. Dropping it ends it.
#[derive(Debug)]
pub struct ActiveSpan(Span);

impl ActiveSpan {
    /// Ends the span with its final attributes; `failed` marks a server-side error.
    pub fn end(mut self, attributes: Vec<KeyValue>, failed: bool) {
        self.0.set_attributes(attributes);
        if failed {
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

/// The `traceparent` of the headers, if it is valid, for [`Traces::begin_caused`].
#[must_use]
pub fn traceparent(headers: &HeaderMap) -> Option<String> {
    let propagator = TraceContextPropagator::new();
    let context = propagator.extract(&Headers(headers));
    // Formatted from the parsed fields: extensions of later format versions are not stored.
    let mut kept = HeaderMap::new();
    propagator.inject_context(&context, &mut HeadersMut(&mut kept));
    let value = kept.get(TRACEPARENT)?.to_str().ok()?;
    Some(value.to_owned())
}

/// The trace id in the headers, as 32 hexadecimal digits.
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
            let kept = expected.is_some().then_some(value);
            assert_eq!(traceparent(&headers), kept);
        }
        assert_eq!(trace_id(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn an_endpoint_is_an_address() {
        for endpoint in ["collector:4317", "", "http://"] {
            let error = Traces::export(endpoint, None, "test").expect_err(endpoint);
            assert!(error.to_string().contains("--otlp-endpoint"), "{error}");
        }
        let nowhere = Some(Path::new("/nowhere/ca.crt"));
        let error = Traces::export("https://collector:4317", nowhere, "test");
        let error = error.expect_err("no file").to_string();
        assert!(
            error.starts_with("--otlp-ca-file /nowhere/ca.crt: "),
            "{error}"
        );
    }
}
