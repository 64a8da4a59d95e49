//! Flags that both services have, apart from their addresses and limits.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use digits_server::{CorsOrigin, CredentialFlags, DEFAULT_MAX_BYTES_IN_FLIGHT};
use digits_telemetry::hosts::AllowedHost;
use digits_telemetry::logs::Format;
use digits_telemetry::traces::{Traces, TracesError};

use crate::duration::parse_duration;
use crate::error::FlagError;
use crate::number::parse_whole;

/// Flags of a service about its process and its gRPC port.
#[derive(Clone, Debug, Args)]
pub struct ServiceFlags {
    /// Age at which a connection is closed gracefully, such as 30m, so that clients reconnect and
    /// spread over new replicas; each connection gets up to a tenth more or less. 0 disables it.
    #[arg(long, env = "DIGITS_MAX_CONNECTION_AGE", default_value = "30m", value_parser = parse_duration)]
    pub max_connection_age: Duration,
    /// Maximum size of all requests and responses in memory, in bytes, of which one client gets at
    /// most seven of eight; further requests are refused at once.
    #[arg(long, env = "DIGITS_MAX_BYTES_IN_FLIGHT", default_value_t = DEFAULT_MAX_BYTES_IN_FLIGHT, value_parser = parse_whole::<usize>(1..=u64::MAX))]
    pub max_bytes_in_flight: usize,
    /// Time between reporting "not ready" and asking clients to reconnect at shutdown, such as
    /// 100ms, so that load balancers can react.
    #[arg(long, env = "DIGITS_SHUTDOWN_DELAY", default_value = "100ms", value_parser = parse_duration)]
    pub shutdown_delay: Duration,
    /// Time between asking clients to reconnect and closing the port at shutdown, such as 500ms, so
    /// that clients that know no other replica yet are still answered. Part of --shutdown-grace;
    /// skipped without an open connection.
    #[arg(long, env = "DIGITS_SHUTDOWN_LINGER", default_value = "500ms", value_parser = parse_duration)]
    pub shutdown_linger: Duration,
    /// Time after SIGTERM for requests in flight to finish, and for running jobs to write a resume
    /// bundle, such as 10s.
    #[arg(long, env = "DIGITS_SHUTDOWN_GRACE", default_value = "10s", value_parser = parse_duration)]
    pub shutdown_grace: Duration,
    /// Certificate, client authorities and tokens of the gRPC port.
    #[command(flatten)]
    pub credentials: CredentialFlags,
    /// Who may use the admin port: open (everybody, in plain text), token (/metrics needs a bearer
    /// token with the role watch), tls (with the certificate in --tls-certificate-file), or
    /// tls-token (both). Probes need no token.
    #[arg(
        long,
        env = "DIGITS_ADMIN_ACCESS",
        value_name = "ACCESS",
        default_value = "open"
    )]
    pub admin_access: AdminAccess,
    /// Pages and hosts that browsers may use.
    #[command(flatten)]
    pub browsers: BrowserFlags,
    /// Traces and access log.
    #[command(flatten)]
    pub requests: RequestFlags,
    /// Format of the log on standard error: text or json.
    #[arg(long, env = "DIGITS_LOG_FORMAT", default_value = "text")]
    pub log_format: Format,
    /// File that receives the bound addresses as JSON once both ports are open. Without it, they
    /// are only logged.
    #[arg(long, env = "DIGITS_READY_FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Who may use the admin port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AdminAccess {
    /// Everybody, in plain text.
    #[default]
    Open,
    /// `/metrics` needs a token.
    Token,
    /// Over TLS.
    Tls,
    /// Over TLS, and `/metrics` needs a token.
    TlsToken,
}

impl AdminAccess {
    /// Whether the port speaks TLS.
    pub(crate) fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::TlsToken)
    }

    /// Whether `/metrics` needs a token.
    pub(crate) fn needs_token(self) -> bool {
        matches!(self, Self::Token | Self::TlsToken)
    }
}

/// Flags about what browsers may do beyond the pages of the service itself.
#[derive(Clone, Debug, Default, Args)]
pub struct BrowserFlags {
    /// Origin whose pages may call the service over gRPC-Web and HTTP (CORS), such as
    /// `https://app.example`; `*` allows every page. Repeat the flag or separate several with
    /// commas. Without it, only the service's own pages may.
    #[arg(
        long,
        env = "DIGITS_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub cors_origin: Vec<CorsOrigin>,
    /// Host name or address, besides localhost, under which ports on the loopback answer browsers,
    /// such as host.docker.internal. Repeat the flag or separate several with commas. Ports on
    /// other addresses answer under every name.
    #[arg(
        long,
        env = "DIGITS_ALLOWED_HOST",
        value_name = "HOST",
        value_delimiter = ','
    )]
    pub allowed_host: Vec<AllowedHost>,
}

/// Flags about the traces and the access log of requests.
#[derive(Clone, Debug, Default, Args)]
pub struct RequestFlags {
    /// Collector that receives a span of each traced request over OTLP/gRPC, such as
    /// http://collector:4317. Without it, nothing is traced.
    #[arg(long, env = "DIGITS_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// File with the CA certificates (PEM) to trust for an https:// address in --otlp-endpoint.
    /// Default: the CAs of the system.
    #[arg(long, env = "DIGITS_OTLP_CA_FILE")]
    pub otlp_ca_file: Option<PathBuf>,
    /// Share of requests that get a line in the access log, from 0 (none) to 1 (all).
    #[arg(long, env = "DIGITS_ACCESS_LOG", default_value_t = 0.0, value_parser = parse_share)]
    pub access_log: f64,
}

impl RequestFlags {
    /// Starts the export of traces of `service`, if an endpoint is set. Call it on a runtime.
    ///
    /// # Errors
    /// As [`Traces::export`].
    pub fn traces(&self, service: &'static str) -> Result<Option<Traces>, TracesError> {
        let endpoint = self.otlp_endpoint.as_deref();
        endpoint
            .filter(|endpoint| !endpoint.is_empty())
            .map(|endpoint| Traces::export(endpoint, self.otlp_ca_file.as_deref(), service))
            .transpose()
    }
}

fn parse_share(text: &str) -> Result<f64, FlagError> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(FlagError::Share),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        assert_eq!(parse_share("0.25"), Ok(0.25));
        assert_eq!(parse_share("1"), Ok(1.0));
        for text in ["-0.1", "1.1", "NaN", "half"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }
}
