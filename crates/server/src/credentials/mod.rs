//! The credentials of the gRPC port: its certificate, and how clients prove who they are, by a
//! bearer token, a JWT or a certificate. They are read from files, which may be replaced while the
//! server runs. Without files the port is plain text and open to everybody.

mod certificate;
mod doubts;
mod error;
mod files;
mod flags;
mod follow_keys;
mod jwt;
mod metrics;
mod part;
mod pem;
mod refusal;
mod reload;
mod role_rules;
mod roles;
mod store;
mod tls;
mod tokens;

pub(crate) use certificate::ClientCertificate;
pub use error::CredentialsError;
pub use flags::CredentialFlags;
pub(crate) use metrics::CredentialMetrics;
pub(crate) use refusal::{AuthenticationError, Refusal};
pub(crate) use reload::supervise_reload;
pub use roles::{Identity, Role, Roles, RolesError};
pub use store::Credentials;
