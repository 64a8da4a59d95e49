//! The address of a remote-write receiver.

use crate::http_address;
use std::{fmt, str::FromStr};
use url::Url;

/// Address of a remote-write receiver over http or https, such as
/// `http://127.0.0.1:9090/api/v1/write`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Url);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "http://127.0.0.1:9090/api/v1/write";
        let secret = "--remote-write-token-file names a bearer token";
        http_address::parse(text, example, secret).map(Self)
    }
}

impl Address {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns whether pushes cross a network in plain text.
    pub(super) fn in_the_open(&self) -> bool {
        http_address::in_the_open(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_addresses_without_credentials_are_accepted() {
        for good in [
            "http://127.0.0.1:9090/api/v1/write",
            "https://prometheus/api/v1/write",
        ] {
            assert!(good.parse::<Address>().is_ok(), "{good}");
        }
        for (bad, part) in [
            ("127.0.0.1:9090", "address"),
            ("prometheus", "address"),
            ("ftp://prometheus/", "http"),
            ("http://me:secret@prometheus/", "password"),
        ] {
            let error = bad.parse::<Address>().expect_err(bad);
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn plain_http_is_in_the_open_except_on_loopback() {
        for (text, open) in [
            ("http://prometheus/", true),
            ("http://10.0.0.1:9090/", true),
            ("https://prometheus/", false),
            ("http://127.0.0.1:9090/", false),
            ("http://[::1]:9090/", false),
            ("http://localhost:9090/", false),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.in_the_open(), open, "{text}");
        }
    }
}
