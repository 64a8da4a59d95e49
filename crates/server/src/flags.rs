//! Flags about single requests, the same in both services.

use std::path::PathBuf;

use clap::Args;
use digits_telemetry::traces::{Traces, TracesError};

/// What is told of single requests.
#[derive(Clone, Debug, Default, Args)]
pub struct RequestFlags {
    /// Collector that receives a span of each traced request over OTLP/gRPC, such as
    /// http://collector:4317. Without it, nothing is traced.
    #[arg(long, env = "DIGITS_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// File with the certificate authorities (PEM) that may have signed the certificate of the
    /// collector; needs an https:// address in --otlp-endpoint. Without it, the authorities of the
    /// system.
    #[arg(long, env = "DIGITS_OTLP_CA_FILE")]
    pub otlp_ca_file: Option<PathBuf>,
    /// Share of requests that get a line in the access log, from 0 (none) to 1 (all).
    #[arg(long, env = "DIGITS_ACCESS_LOG", default_value_t = 0.0, value_parser = parse_share)]
    pub access_log: f64,
}

impl RequestFlags {
    /// Starts the export of traces, where one is wanted. Call it on a runtime.
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

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_from_0_to_1() {
        assert_eq!(parse_share("0.25"), Ok(0.25));
        assert_eq!(parse_share("1"), Ok(1.0));
        for text in ["-0.1", "1.1", "NaN", "half"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }
}
