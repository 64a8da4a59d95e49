//! Which web pages of other origins may call the services: CORS (<https://fetch.spec.whatwg.org>).

use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// How long a browser may keep the answer to a preflight request; Chromium's maximum.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// Headers of responses that scripts may read.
const EXPOSED: [HeaderName; 6] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    HeaderName::from_static("inference-header-content-length"),
    HeaderName::from_static("x-request-id"),
    header::RETRY_AFTER,
];

/// An origin whose pages may call the services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigin {
    /// Every origin.
    Any,
    /// One origin, as browsers send it.
    Exact(HeaderValue),
}

/// A text that is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an origin without a path, such as https://app.example or http://localhost:8080, or *"
)]
pub struct InvalidOrigin;

impl FromStr for CorsOrigin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let text = text.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let uri: Uri = text.parse().map_err(|_| InvalidOrigin)?;
        let (Some(scheme), Some(authority), "/", None) =
            (uri.scheme_str(), uri.authority(), uri.path(), uri.query())
        else {
            return Err(InvalidOrigin);
        };
        if authority.as_str().contains(['@', '*']) {
            return Err(InvalidOrigin);
        }
        // Browsers leave out the port that the scheme implies.
        let port = match (scheme, authority.port_u16()) {
            ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
            (_, Some(port)) => format!(":{port}"),
        };
        let origin = format!("{scheme}://{}{port}", authority.host()).to_ascii_lowercase();
        let origin = origin.try_into().map_err(|_| InvalidOrigin)?;
        Ok(Self::Exact(origin))
    }
}

/// Answers preflight requests and marks the responses; `None` without origins.
///
/// Scripts may send every header, because the metadata of gRPC are headers. No credentials of the
/// browser are involved: a token is a header that the page sets itself.
pub(crate) fn layer(origins: &[CorsOrigin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let exact: Option<Vec<_>> = origins
        .iter()
        .map(|origin| match origin {
            CorsOrigin::Any => None,
            CorsOrigin::Exact(origin) => Some(origin.clone()),
        })
        .collect();
    let layer = CorsLayer::new()
        .allow_origin(exact.map_or_else(AllowOrigin::any, AllowOrigin::list))
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .allow_private_network(true)
        .expose_headers(EXPOSED)
        .max_age(MAX_AGE);
    Some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_parsed_to_the_form_that_browsers_send() {
        for (text, expected) in [
            ("https://app.example", "https://app.example"),
            (" https://App.Example/ ", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            let exact = CorsOrigin::Exact(HeaderValue::from_static(expected));
            assert_eq!(text.parse(), Ok(exact), "{text}");
        }
        assert_eq!("*".parse(), Ok(CorsOrigin::Any));
        for text in [
            "",
            "null",
            "app.example",
            "https://",
            "https://app.example/page",
            "https://app.example?x",
            "https://user@app.example",
            "https://*.example",
            "https://a.example,https://b.example",
        ] {
            assert_eq!(text.parse::<CorsOrigin>(), Err(InvalidOrigin), "{text}");
        }
    }
}
