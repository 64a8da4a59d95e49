//! What the gRPC port is told, with its defaults. How it is read from flags is each service's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use digits_telemetry::traces::Traces;

use crate::credentials::Credentials;

/// Size that a message may have unless told otherwise, in bytes: 16 MiB. Message sizes are limits of each
/// generated service (`max_decoding_message_size`), so a service must pass
/// [`ServerConfig::max_message_bytes`] on to them.
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Settings of a [`GrpcServer`](crate::GrpcServer).
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// For the services' `max_decoding_message_size` and `max_encoding_message_size`; see
    /// [`DEFAULT_MAX_MESSAGE_BYTES`].
    pub max_message_bytes: usize,
    /// Connections at one time; one more is closed at once.
    pub max_connections: usize,
    /// Requests and streams at one time on one connection; more wait at the client (HTTP/2).
    pub max_streams_per_connection: u32,
    /// Requests and streams at one time over all connections; one more is answered
    /// RESOURCE_EXHAUSTED at once. Health checks are not counted.
    pub max_in_flight: usize,
    /// After this, a connection is asked to end (GOAWAY) so that the client looks for servers anew; its
    /// requests finish first. `None`: never.
    pub max_connection_age: Option<Duration>,
    /// A connection that is silent for this long is pinged.
    pub keepalive_interval: Duration,
    /// A connection that does not answer a ping within this is closed.
    pub keepalive_timeout: Duration,
    /// How long requests in flight may take to finish after shutdown; then they are cut.
    pub drain: Duration,
    /// Share of the requests that get a line of log (target `digits_access`), from 0 to 1. Health checks get none.
    pub access_log: f64,
    /// Where each request's span goes. Health checks have none.
    pub traces: Option<Traces>,
    /// The port's certificate, and who may call.
    pub credentials: Credentials,
    /// Time between two looks at their files.
    pub credentials_interval: Duration,
}

impl Default for ServerConfig {
    /// Loopback, a free port.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            max_connections: 1024,
            max_streams_per_connection: 256,
            max_in_flight: 1024,
            max_connection_age: Some(Duration::from_secs(30 * 60)),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            drain: Duration::from_secs(10),
            access_log: 0.0,
            traces: None,
            credentials: Credentials::default(),
            credentials_interval: Duration::from_secs(5),
        }
    }
}
