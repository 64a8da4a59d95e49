//! The gRPC port that both services share: listening, TLS, tokens, gRPC-Web, limits, request metrics, health,
//! reflection, a graceful end, and how errors are told to clients. Knows no service of `digits`.
//!
//! Cancelling the token of [`GrpcServer::serve`] refuses new connections and lets requests in flight
//! finish. Long streams of a service should watch the same token and end themselves.

mod accept;
mod config;
mod credentials;
mod error;
pub mod health;
mod middleware;
pub mod page;
mod reflection;
mod serve;
mod server;
pub mod status;
pub mod violations;

pub use config::{DEFAULT_MAX_MESSAGE_BYTES, ServerConfig};
pub use credentials::{CredentialFlags, Credentials, CredentialsError};
pub use error::ServerError;
pub use middleware::access_log::{AccessLogFields, AnsweredBy};
pub use middleware::body::InstrumentedBody;
pub use middleware::deadline::Deadline;
pub use middleware::early_rejection::EarlyRejection;
pub use middleware::metrics::RequestMetrics;
pub use middleware::service::{InstrumentedService, ResponseFuture};
pub use reflection::reflection;
pub use serve::router::{GrpcService, RouteFuture, Routes};
pub use server::{Drained, GrpcServer};
pub use status::{not_found, retry_status, unavailable_status};
