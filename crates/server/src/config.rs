//! Settings of the gRPC server, and their defaults. Each service has its own flags for them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use digits_telemetry::hosts::AllowedHosts;
use digits_telemetry::traces::Traces;

use crate::cors::CorsOrigin;
use crate::credentials::Credentials;
use crate::middleware::{AuditLog, MethodRoles};

/// Default limit on the size of a message, in bytes: 16 MiB. Generated services enforce it
/// (`max_decoding_message_size`), so a service must pass [`ServerConfig::max_message_bytes`] on to
/// them.
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Default limit on the bytes of all requests and responses at one time: 256 MiB.
pub const DEFAULT_MAX_BYTES_IN_FLIGHT: usize = 256 << 20;

/// Settings of a [`GrpcServer`](crate::GrpcServer).
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Address to listen on; port 0 selects a free port.
    pub listen: SocketAddr,
    /// For the services' `max_decoding_message_size` and `max_encoding_message_size`; see
    /// [`DEFAULT_MAX_MESSAGE_BYTES`].
    pub max_message_bytes: usize,
    /// Connections at one time. A further one takes the place of one that is not in use; without
    /// such a one it is closed at once. One client gets seven of eight places.
    pub max_connections: usize,
    /// Requests and streams at one time on one connection. Further ones wait at the client
    /// (HTTP/2).
    pub max_streams_per_connection: u32,
    /// Requests and streams at one time over all connections. Further ones fail at once with
    /// RESOURCE_EXHAUSTED. A request counts from when its first message is complete. Health checks
    /// are not counted. One client, by its address and identity, gets seven of eight.
    pub max_in_flight: usize,
    /// Bytes of requests and responses at one time over all connections; one client gets seven of
    /// eight. Further requests fail with RESOURCE_EXHAUSTED. Each connection may hold its first
    /// 64 KiB whatever others do, and four of the largest messages always fit.
    pub max_bytes_in_flight: usize,
    /// Health watches at one time over all connections. Further ones fail with RESOURCE_EXHAUSTED.
    pub max_health_watches: usize,
    /// At about this age, up to a tenth more or less, a connection is closed (GOAWAY), so that the
    /// client resolves the servers again. Its requests finish first; long streams end. `None`:
    /// never.
    pub max_connection_age: Option<Duration>,
    /// A connection without traffic for this long is pinged.
    pub keepalive_interval: Duration,
    /// A connection that does not respond to a ping within this time is closed.
    pub keepalive_timeout: Duration,
    /// Limits for clients that send or read slowly.
    pub slow_clients: SlowClientLimits,
    /// Time for requests in flight to finish at shutdown; then they are aborted.
    pub drain: Duration,
    /// Time for which the port stays open at shutdown after clients were asked to reconnect
    /// (GOAWAY), so that those that know no other server yet are still answered. Part of `drain`.
    pub linger: Duration,
    /// Share of the requests that get a line in the access log (target `digits_access`), from 0 to
    /// 1. Health checks get none.
    pub access_log: f64,
    /// Exporter of a span for each request. Health checks have none.
    pub traces: Option<Traces>,
    /// Certificate of the port, and how clients prove who they are.
    pub credentials: Credentials,
    /// Roles that open each method, where clients must prove who they are.
    pub roles: MethodRoles,
    /// Log of the calls of methods that neither `predict` nor `watch` opens.
    pub audit_log: Option<AuditLog>,
    /// Origins whose pages may call gRPC-Web and plain HTTP.
    pub cors_origins: Vec<CorsOrigin>,
    /// Hosts that requests of browsers may name if the port is on the loopback.
    pub allowed_hosts: AllowedHosts,
    /// Interval at which the files of the credentials are read again.
    pub credentials_interval: Duration,
}

/// Limits for clients that send or read slowly. Streams without traffic are no slow clients: only a
/// message that has begun must arrive, and only what waits for the client must be read.
#[derive(Debug, Clone, Copy)]
pub struct SlowClientLimits {
    /// Time for the first request of a connection, or its HTTP/2 preface. Further ones may take as
    /// long as they like.
    pub first_bytes: Duration,
    /// A request whose message is incomplete fails when, for this long, fewer bytes arrive than at
    /// [`Self::min_bytes_per_second`].
    pub unfinished_request: Duration,
    /// A connection is closed when responses wait on it and, for about this long, fewer bytes are
    /// read than at [`Self::min_bytes_per_second`].
    pub unread_response: Duration,
    /// The minimum rate.
    pub min_bytes_per_second: u32,
}

impl Default for SlowClientLimits {
    fn default() -> Self {
        Self {
            first_bytes: Duration::from_secs(10),
            unfinished_request: Duration::from_secs(10),
            unread_response: Duration::from_secs(30),
            min_bytes_per_second: 1 << 10,
        }
    }
}

impl Default for ServerConfig {
    /// Loopback and a free port.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            max_connections: 1024,
            max_streams_per_connection: 256,
            max_in_flight: 1024,
            max_bytes_in_flight: DEFAULT_MAX_BYTES_IN_FLIGHT,
            max_health_watches: 1024,
            max_connection_age: Some(Duration::from_secs(30 * 60)),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(20),
            slow_clients: SlowClientLimits::default(),
            drain: Duration::from_secs(10),
            linger: Duration::ZERO,
            access_log: 0.0,
            traces: None,
            credentials: Credentials::default(),
            roles: &[],
            audit_log: None,
            cors_origins: Vec::new(),
            allowed_hosts: AllowedHosts::default(),
            credentials_interval: Duration::from_secs(5),
        }
    }
}
