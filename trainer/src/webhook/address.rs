//! The address of a webhook.

use crate::http_address;
use std::{fmt, str::FromStr};
use url::Url;

/// Address of a webhook over http or https, such as `https://example.com/hooks/digits`. Its path may
/// be a secret, so only the part before it is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for WebhookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "https://example.com/hooks/digits";
        let secret = "events are signed with --webhook-secret-file";
        http_address::parse(text, example, secret).map(Self)
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/…", self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_not_shown() {
        let url: WebhookUrl = "https://example.com:8443/T0/secret?key=x"
            .parse()
            .expect("an address");
        assert_eq!(url.to_string(), "https://example.com:8443/…");
        assert_eq!(format!("{url:?}"), "https://example.com:8443/…");
    }

    #[test]
    fn only_http_addresses_without_credentials_are_accepted() {
        for (bad, part) in [
            ("example.com", "address"),
            ("ftp://example.com/", "http"),
            ("https://me:secret@example.com/", "--webhook-secret-file"),
        ] {
            let error = bad.parse::<WebhookUrl>().expect_err(bad);
            assert!(error.contains(part) && !error.contains("me:"), "{error}");
        }
    }
}
