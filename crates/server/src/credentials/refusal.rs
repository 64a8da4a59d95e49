//! Why a request is not authenticated.

use super::jwt::{InvalidJwt, PendingKeys};

/// Why a request is not authenticated. The client reads the message, which needs no escaping in
/// JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthenticationError {
    #[error("this service needs a token: send authorization: Bearer TOKEN")]
    Missing,
    #[error(
        "this service does not know the token: send authorization: Bearer TOKEN with one that its operators issued"
    )]
    Unknown,
    #[error("this service refuses the token: {0}")]
    Jwt(#[from] InvalidJwt),
    #[error(
        "this service cannot check the token yet: the keys of its issuer could not be fetched; retry later"
    )]
    NoKeys,
    #[error(
        "this service knows no name of the client certificate, and there is no token: use a certificate whose name its operators listed"
    )]
    UnknownCertificate,
}

/// A request that is not authenticated.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: AuthenticationError,
    /// Keys that are being fetched, by which the request may be authenticated.
    pub(crate) keys: Option<PendingKeys>,
}

impl From<AuthenticationError> for Refusal {
    fn from(reason: AuthenticationError) -> Self {
        Self { reason, keys: None }
    }
}
