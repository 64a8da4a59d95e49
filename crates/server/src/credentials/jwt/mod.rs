//! JSON Web Tokens (RFC 7519) of one issuer: verifies them by the issuer's keys, and gives their
//! clients the roles of the role file. A token is checked once; its client is remembered until it
//! expires.

mod error;
mod fetch;
mod key;
mod key_set;
mod requests;
mod settings;
mod token;
mod verifier;

pub(super) use error::InvalidJwt;
pub(super) use fetch::Fetcher;
pub(super) use key_set::KeySet;
pub(super) use requests::{KeyRequests, PendingKeys};
pub(super) use settings::{JwtSettings, KeySource};
pub(super) use verifier::Verifier;
