//! Metrics of the credentials. They are exported without TLS and tokens too, so that an alert on
//! their absence means that the service is gone.

use metrics::{Counter, Gauge, Unit};

/// The metrics `<prefix>_tls_certificate_expiry_timestamp_seconds`,
/// `<prefix>_tls_handshakes_failed_total` and `<prefix>_credentials_reloads_total{result}`.
#[derive(Clone)]
pub(crate) struct CredentialMetrics {
    expiry: Gauge,
    pub(crate) handshakes_failed: Counter,
    pub(crate) reloaded: Counter,
    pub(crate) failed: Counter,
}

impl CredentialMetrics {
    /// Declares them under `prefix`, such as `digits_trainer`.
    pub(crate) fn new(prefix: &'static str) -> Self {
        let expiry = format!("{prefix}_tls_certificate_expiry_timestamp_seconds");
        let handshakes = format!("{prefix}_tls_handshakes_failed_total");
        let reloads = format!("{prefix}_credentials_reloads_total");
        metrics::describe_gauge!(
            expiry.clone(),
            Unit::Seconds,
            "earliest expiry in the certificate chain of --tls-certificate-file; 0 without TLS"
        );
        metrics::describe_counter!(
            handshakes.clone(),
            Unit::Count,
            "TLS handshakes that failed or took over 10 s"
        );
        metrics::describe_counter!(
            reloads.clone(),
            Unit::Count,
            "reloads of certificates, tokens, roles and keys of JWTs, by result"
        );
        let metrics = Self {
            expiry: metrics::gauge!(expiry),
            handshakes_failed: metrics::counter!(handshakes),
            reloaded: metrics::counter!(reloads.clone(), "result" => "reloaded"),
            failed: metrics::counter!(reloads, "result" => "failed"),
        };
        metrics.expiry.set(0.0);
        metrics
    }

    /// Sets the expiry of the certificate, in seconds since 1970.
    pub(crate) fn certificate(&self, expires: Option<i64>) {
        self.expiry
            .set(expires.map_or(0.0, |seconds| seconds as f64));
    }
}
