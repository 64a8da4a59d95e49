//! The gRPC port that both services share: listening, TLS, authentication, gRPC-Web, Connect, limits,
//! deadlines, request metrics, access log, health, reflection and a graceful shutdown. It knows no
//! service of `digits`.
//!
//! ```
//! use digits_server::health::Health;
//! use digits_server::{Drained, GrpcServer, RequestMetrics, Routes, ServerConfig};
//! use tokio_util::sync::CancellationToken;
//! use tonic::transport::Endpoint;
//! use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // On a free port of loopback.
//! let (server, address) = GrpcServer::bind(ServerConfig::default()).await?;
//! let (health, health_service) = Health::new(&[]).await;
//! let metrics = RequestMetrics::new("example", &["/grpc.health.v1.Health/Check"]);
//! let shutdown = CancellationToken::new();
//! let serving = server.serve(Routes::new(health_service), metrics, shutdown.clone());
//! let serving = tokio::spawn(serving);
//! health.set_serving().await;
//!
//! let channel = Endpoint::new(format!("http://{address}"))?.connect().await?;
//! let mut client = HealthClient::new(channel);
//! let response = client.check(HealthCheckRequest::default()).await?;
//! assert_eq!(response.into_inner().status, 1); // SERVING
//!
//! drop(client);
//! shutdown.cancel();
//! assert_eq!(serving.await?, Drained::Complete);
//! # Ok(())
//! # }
//! ```
//!
//! # The way of a request
//!
//! 1. **accept**: [`accept::Listener`] accepts a connection, for which [`accept::Registry`] makes
//!    room if it must, and starts its task, on which [`accept::TlsHandshakes`] performs the
//!    handshake if the port has a certificate.
//! 2. **serve**: [`serve::HttpServer`] reads HTTP/2 or HTTP/1.1. An
//!    [`InlineExecutor`](serve::inline_executor::InlineExecutor) runs the requests that arrived
//!    together and then writes their responses at once. [`serve::ProtocolMux`] distinguishes
//!    gRPC, gRPC-Web, Connect and plain HTTP.
//! 3. **middleware**: [`InstrumentedService`] begins a
//!    [`RequestGuard`](middleware::guard::RequestGuard), which puts the [`RequestContext`] into the
//!    request's extensions. It authenticates the request, checks its roles, and waits until the
//!    [`Deadline`] at most. [`RequestBody`](middleware::RequestBody) takes a place among the
//!    requests in flight when the first message is complete, and memory for its bytes.
//! 4. **service**: [`Routes`] calls the generated service that the path names.
//! 5. The response passes the guard on its way back. With the `grpc-status` of its headers or
//!    trailers the guard records [`RequestMetrics`], the access-log line and the span. Its bytes
//!    count against the connection's [`Account`](limits::Account) until they are written.
//!
//! # The shutdown
//!
//! Cancelling the token of [`GrpcServer::serve`] asks the clients to reconnect, closes the port and
//! lets requests in flight finish. Long streams of a service should end themselves when
//! [`RequestContext::end_of_streams`] is cancelled: at the shutdown, and at the maximum age of their
//! connection.

// The links of the walk-through lead to private items: it is for readers of the code.
#![allow(rustdoc::private_intra_doc_links)]

mod accept;
mod config;
pub mod connect;
mod connection;
mod cors;
mod credentials;
mod error;
pub mod health;
mod limits;
mod middleware;
pub mod page;
mod reflection;
mod serve;
mod server;
pub mod status;
pub mod violations;

pub use config::{
    DEFAULT_MAX_BYTES_IN_FLIGHT, DEFAULT_MAX_MESSAGE_BYTES, ServerConfig, SlowClientLimits,
};
pub use cors::{CorsOrigin, InvalidOrigin};
pub use credentials::{
    CredentialFlags, Credentials, CredentialsError, Identity, Role, Roles, RolesError,
};
pub use error::ServerError;
pub use middleware::{
    AccessLogFields, AnsweredBy, AuditLog, ClientKey, Deadline, EarlyRejection,
    InstrumentedService, MethodRoles, RequestContext, RequestMetrics, ResponseFuture,
};
pub use reflection::reflection;
pub use serve::router::{GrpcService, RouteFuture, Routes};
pub use server::{Drained, GrpcServer};
pub use status::{not_found, retry_status, unavailable_status};
pub use tonic::codec::CompressionEncoding;
