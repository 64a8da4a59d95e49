//! The gRPC port that both services share: listening, TLS, tokens, gRPC-Web, limits, request metrics, health,
//! reflection, a graceful end, and how errors are told to clients. Knows no service of `digits`.
//!
//! The order at the end of a process: [`shutdown::signal`] → [`health::withdraw`] (no longer ready; the
//! endpoints learn it) → cancel the token of [`GrpcServer::serve`] (no new connection, requests in flight
//! finish) → exit. Long streams of a service should watch the same token and end themselves.

mod body;
mod config;
mod connection;
mod credentials;
mod deadline;
mod entry;
mod error;
pub mod exit;
mod flags;
mod flight;
mod front;
mod guard;
mod handshake;
pub mod health;
pub mod page;
pub mod probe;
mod reflection;
mod request_metrics;
mod routes;
mod server;
pub mod shutdown;
pub mod startup;
pub mod status;
mod transport;
mod turns;
mod unserved;
pub mod violations;

pub use body::FlightBody;
pub use config::{DEFAULT_MAX_MESSAGE_BYTES, ServerConfig};
pub use credentials::{CredentialFlags, Credentials, CredentialsError};
pub use deadline::Deadline;
pub use entry::{AnswerNote, AnsweredBy};
pub use error::ServerError;
pub use flags::RequestFlags;
pub use flight::{FlightFuture, FlightService};
pub use reflection::reflection;
pub use request_metrics::RequestMetrics;
pub use routes::{GrpcService, RouteFuture, Routes};
pub use server::{Drained, GrpcServer};
pub use status::{not_found, retry_status, unavailable_status};
pub use unserved::Unserved;
