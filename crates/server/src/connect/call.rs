//! The headers of a Connect request: the method, the codec, the compression and the deadline; and
//! those of the gRPC request that it becomes.

use std::time::Duration;

use digits_transcode::{MessageId, Schema};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use tonic::Status;

use super::compression::Compression;
use crate::middleware::RequestContext;

const TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
const VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
/// Longest timeout, in digits of milliseconds: 115 days.
const MAX_TIMEOUT_DIGITS: usize = 10;

/// Headers that say how a body is encoded, which it no longer is.
const OF_THE_BODY: [HeaderName; 5] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::ACCEPT_ENCODING,
    TIMEOUT,
    VERSION,
];

/// A call of a method.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) codec: Codec,
    pub(super) compression: Compression,
    pub(super) input: MessageId,
    pub(super) output: MessageId,
}

/// How messages are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Json,
    Proto,
}

impl Codec {
    /// Content type of a unary response.
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Proto => "application/proto",
        })
    }
}

/// Why a request is no call.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is no POST.
    Method,
    /// The method takes these content types.
    ContentType(&'static str),
    /// Another header is wrong.
    Status(Status),
}

impl Call {
    /// The call of a request for a method of `schema`. Turns its headers into those of a gRPC
    /// request.
    pub(super) fn of<B>(schema: &Schema, request: &mut Request<B>) -> Result<Self, Refusal> {
        let unknown = || Status::unimplemented("the method is unknown");
        let method = schema.method(request.uri().path());
        let method = method.ok_or_else(|| Refusal::Status(unknown()))?;
        if method.streams_requests || method.streams_responses {
            return Err(Refusal::Status(Status::unimplemented(
                "this method streams; call it over gRPC or gRPC-Web",
            )));
        }
        if request.method() != http::Method::POST {
            return Err(Refusal::Method);
        }
        let headers = request.headers();
        let codec =
            codec(headers).ok_or(Refusal::ContentType("application/json, application/proto"))?;
        let compression = Compression::of(headers.get(header::CONTENT_ENCODING));
        let compression = compression.map_err(Refusal::Status)?;
        check_version(headers).map_err(Refusal::Status)?;
        if let Some(timeout) = timeout(headers).map_err(Refusal::Status)? {
            RequestContext::begin_in(request).set_timeout(timeout);
        }
        become_grpc(request.headers_mut());
        Ok(Self {
            codec,
            compression,
            input: method.input,
            output: method.output,
        })
    }
}

fn codec(headers: &HeaderMap) -> Option<Codec> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    match kind.trim().to_ascii_lowercase().as_str() {
        "application/json" if ["", "charset=utf-8", "charset=\"utf-8\""].contains(&&*charset) => {
            Some(Codec::Json)
        }
        "application/proto" if charset.is_empty() => Some(Codec::Proto),
        _ => None,
    }
}

/// The version may be absent: that is a plain HTTP request.
fn check_version(headers: &HeaderMap) -> Result<(), Status> {
    match headers.get(VERSION) {
        Some(version) if version != "1" => Err(Status::invalid_argument(
            "connect-protocol-version: must be 1",
        )),
        _ => Ok(()),
    }
}

fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(TIMEOUT) else {
        return Ok(None);
    };
    let value = value.as_bytes();
    if value.is_empty() || value.len() > MAX_TIMEOUT_DIGITS || !value.iter().all(u8::is_ascii_digit)
    {
        return Err(Status::invalid_argument(
            "connect-timeout-ms: must be milliseconds, in 1 to 10 digits",
        ));
    }
    let digits = value.iter();
    let millis = digits.fold(0, |number: u64, digit| {
        number * 10 + u64::from(digit - b'0')
    });
    Ok(Some(Duration::from_millis(millis)))
}

fn become_grpc(headers: &mut HeaderMap) {
    for name in OF_THE_BODY {
        headers.remove(name);
    }
    let grpc: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("grpc-"))
        .cloned()
        .collect();
    for name in grpc {
        headers.remove(name);
    }
    let grpc = HeaderValue::from_static("application/grpc");
    headers.insert(header::CONTENT_TYPE, grpc);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|&(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn the_content_type_names_the_codec() {
        for (content_type, expected) in [
            ("application/json", Some(Codec::Json)),
            ("Application/JSON; charset=UTF-8", Some(Codec::Json)),
            ("application/json; charset=latin1", None),
            ("application/proto", Some(Codec::Proto)),
            ("application/x-www-form-urlencoded", None),
            ("text/plain", None),
        ] {
            let headers = headers(&[("content-type", content_type)]);
            assert_eq!(codec(&headers), expected, "{content_type}");
        }
        assert_eq!(codec(&HeaderMap::new()), None);
    }

    #[test]
    fn the_timeout_is_in_milliseconds() {
        for (value, expected) in [
            ("0", Ok(Some(Duration::ZERO))),
            ("2500", Ok(Some(Duration::from_millis(2500)))),
            ("9999999999", Ok(Some(Duration::from_millis(9_999_999_999)))),
            ("12345678901", Err(())),
            ("", Err(())),
            ("-1", Err(())),
            ("1.5", Err(())),
        ] {
            let headers = headers(&[("connect-timeout-ms", value)]);
            assert_eq!(timeout(&headers).map_err(|_| ()), expected, "{value}");
        }
        assert_eq!(timeout(&HeaderMap::new()).expect("none"), None);
    }

    #[test]
    fn the_headers_become_those_of_grpc() {
        let mut headers = headers(&[
            ("content-type", "application/json"),
            ("content-length", "2"),
            ("content-encoding", "gzip"),
            ("connect-timeout-ms", "5"),
            ("grpc-encoding", "gzip"),
            ("authorization", "Bearer t"),
            ("x-request-id", "7"),
        ]);
        become_grpc(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["authorization", "content-type", "te", "x-request-id"]
        );
        assert_eq!(headers["content-type"], "application/grpc");
    }
}
