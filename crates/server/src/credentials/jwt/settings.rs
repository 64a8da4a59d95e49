//! Where the keys of an issuer come from, and whom its tokens must be from and for.

use std::path::PathBuf;

use reqwest::Url;

use super::token::Expected;

/// Settings of JWTs.
#[derive(Clone, Debug)]
pub(in super::super) struct JwtSettings {
    pub(in super::super) expected: Expected,
    pub(in super::super) keys: KeySource,
}

/// Where the JSON Web Key Set is.
#[derive(Clone, Debug)]
pub(in super::super) enum KeySource {
    /// In a file.
    File(PathBuf),
    /// Behind an address.
    Url(KeyUrl),
}

/// An address of a JSON Web Key Set.
#[derive(Clone, Debug)]
pub(in super::super) struct KeyUrl {
    pub(super) url: Url,
    /// Authorities to trust instead of the public ones.
    pub(super) ca_file: Option<PathBuf>,
    /// Bearer token to send.
    pub(super) token_file: Option<PathBuf>,
}

impl JwtSettings {
    pub(in super::super) fn new(issuer: String, audience: String, keys: KeySource) -> Self {
        Self {
            expected: Expected { issuer, audience },
            keys,
        }
    }
}

impl KeySource {
    /// A file, or an address with a scheme. `None` for an address over which somebody else could
    /// put other keys: keys need HTTPS, but on the loopback.
    pub(in super::super) fn parse(text: &str) -> Option<Self> {
        if !text.contains("://") {
            return Some(Self::File(text.into()));
        }
        let url = Url::parse(text).ok()?;
        let is_loopback = match url.host()? {
            url::Host::Domain(name) => name == "localhost",
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
        };
        let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_loopback;
        is_safe.then_some(Self::Url(KeyUrl {
            url,
            ca_file: None,
            token_file: None,
        }))
    }

    /// Sets the authorities and the token for an address; `false` for a file, which needs neither.
    pub(in super::super) fn set_credentials(
        &mut self,
        ca_file: Option<PathBuf>,
        token_file: Option<PathBuf>,
    ) -> bool {
        match self {
            Self::Url(url) => {
                (url.ca_file, url.token_file) = (ca_file, token_file);
                true
            }
            Self::File(_) => ca_file.is_none() && token_file.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_files_and_over_https() {
        for (text, is_url) in [
            ("/etc/keys.json", Some(false)),
            ("keys.json", Some(false)),
            ("https://issuer.example/keys", Some(true)),
            ("http://127.0.0.1:8080/keys", Some(true)),
            ("http://[::1]/keys", Some(true)),
            ("http://localhost/keys", Some(true)),
            ("http://issuer.example/keys", None),
            ("http://localhost.example/keys", None),
            ("ftp://issuer.example/keys", None),
            ("https://", None),
        ] {
            let parsed = KeySource::parse(text);
            let found = parsed.map(|source| matches!(source, KeySource::Url(_)));
            assert_eq!(found, is_url, "{text}");
        }
    }
}
