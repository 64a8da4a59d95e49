//! Connections to a service, and the settings for opening them.

use crate::{
    call::{Caller, RetryPolicy, rpc},
    credentials::{Authorization, Credentials},
    error::Error,
    service::Service,
};
use std::time::Duration;
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Uri},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// Largest message that is sent or received, in bytes: more than any limit of the services.
pub(crate) const MAX_MESSAGE: usize = 256 << 20;
/// Timeout of opening a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// A silent connection is probed this often, so that a watch notices a dead peer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Settings of a client's connections and calls.
///
/// ```no_run
/// use digits_client::{Credentials, InferenceClient, Options};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let credentials = Credentials::default()
///     .with_ca(std::fs::read("ca.crt")?)?
///     .with_token(&std::fs::read("token")?)?;
/// let options = Options {
///     timeout: Duration::from_secs(2),
///     credentials,
///     ..Options::default()
/// };
/// let client = InferenceClient::new("https://digits.example.com:50052", &options)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Time from a call to its deadline, over all of its attempts; for a stream, until it begins.
    pub timeout: Duration,
    /// Retries of calls that may be repeated.
    pub retry: RetryPolicy,
    /// Trusted authorities, client certificate and token.
    pub credentials: Credentials,
}

impl Default for Options {
    /// 30 seconds, the default retries, public authorities and no token.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            credentials: Credentials::default(),
        }
    }
}

/// Sends requests with the token. Connects with the first one, and again after a break.
pub(crate) type Connection = InterceptedService<Channel, Authorization>;

/// Prepares calls to a service at `url`.
pub(crate) fn connect(
    service: Service,
    url: &str,
    options: &Options,
) -> Result<(Caller, Connection), Error> {
    let bad = || Error::Url {
        service,
        url: url.to_owned(),
    };
    let uri: Uri = url.parse().map_err(|_| bad())?;
    if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(bad());
    }
    let tls = uri.scheme_str() == Some("https");
    let mut endpoint = Endpoint::from(uri);
    if tls {
        endpoint = endpoint
            .tls_config(options.credentials.tls())
            .map_err(Error::Certificates)?;
    }
    let channel = endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .connect_lazy();
    let caller = Caller {
        service,
        timeout: options.timeout,
        retry: options.retry,
    };
    let connection = InterceptedService::new(channel, options.credentials.authorization());
    Ok((caller, connection))
}

/// Queries the health of the service; NOT_FOUND where another service listens.
pub(crate) async fn health(
    calls: &Caller,
    connection: &Connection,
) -> Result<ServingStatus, Error> {
    let request = HealthCheckRequest {
        service: calls.service.grpc_name().to_owned(),
    };
    let answer = calls
        .retried(request, rpc!(HealthClient::new(connection.clone()), check))
        .await?;
    Ok(answer.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bad_urls_are_named() {
        for url in ["", "localhost", "not a url", "127.0.0.1:50051"] {
            let error = connect(Service::Trainer, url, &Options::default()).expect_err(url);
            let text = error.to_string();
            assert!(text.contains("http://127.0.0.1:50051"), "{text}");
        }
        let url = Service::Inference.default_url();
        assert!(connect(Service::Inference, url, &Options::default()).is_ok());
    }
}
