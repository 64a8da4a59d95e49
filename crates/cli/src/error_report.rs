//! Formats an error for the user: a line on what went wrong, then details and remedies.

use crate::{endpoints::Endpoints, error::Error, rpc_error};

/// Why the service refused the picture of a request, without the name of the field that holds it;
/// `None` for any other error.
#[must_use]
pub fn picture_refusal(error: &digits_client::Error) -> Option<String> {
    rpc_error::picture_refusal(error)
}

/// The lines of an error: what went wrong, and below it invalid flags and remedies, one line each.
#[must_use]
pub fn lines(error: &Error, endpoints: &Endpoints) -> Vec<String> {
    match error {
        Error::Client(error) => rpc_error::lines(error, endpoints),
        other => vec![other.to_string()],
    }
}
