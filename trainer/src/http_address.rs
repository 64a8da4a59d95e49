//! Addresses over http or https that flags name.

use url::{Host, Url};

/// Parses an address without user and password.
///
/// # Errors
/// What is wrong with it, as the end of a sentence about the address. `example` is a valid one, and
/// `secret` is a clause on the flag that takes the place of a password.
pub(crate) fn parse(text: &str, example: &str, secret: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("is no address ({error}): give one such as {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!(
            "must be an http or https address, such as {example}"
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("must have no user and password in it: {secret}"));
    }
    Ok(url)
}

/// Whether what is sent to an address crosses a network in plain text.
pub(crate) fn in_the_open(address: &Url) -> bool {
    let loopback = match address.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    address.scheme() == "http" && !loopback
}
