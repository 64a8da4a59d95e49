//! The credentials of the gRPC port: certificate, CA certificates for client certificates, and
//! bearer tokens. They are read from files, which may be replaced while the server runs. Without
//! files the port is plain text and needs no token.

mod doubts;
mod error;
mod files;
mod flags;
mod metrics;
mod pem;
mod reload;
mod roles;
mod store;
mod tls;
mod tokens;

pub use error::CredentialsError;
pub use flags::CredentialFlags;
pub(crate) use metrics::CredentialMetrics;
pub(crate) use reload::supervise_reload;
pub use roles::{Identity, Role, Roles, RolesError};
pub use store::Credentials;
