//! Formats an error for the user: a line on what went wrong, then details and remedies.

use crate::{endpoints::Endpoints, error::Error, rpc_error};

/// The lines of an error: what went wrong, and below it invalid flags and remedies, one line each.
#[must_use]
pub fn lines(error: &Error, endpoints: &Endpoints) -> Vec<String> {
    match error {
        Error::Client(error) => rpc_error::lines(error, endpoints),
        other => vec![other.to_string()],
    }
}
