//! The headers of a Connect request: the method, the codec, the compression and the deadline; and
//! those of the gRPC request that it becomes.

use std::time::Duration;

use digits_transcode::{Method, Schema};
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use tonic::{Code, Status};

use super::compression::Compression;
use super::translation::{Reading, Writing};
use super::upload::UploadTarget;
use crate::health;
use crate::middleware::RequestContext;

const TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
const VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
const STREAM_ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
const STREAM_ACCEPTED: HeaderName = HeaderName::from_static("connect-accept-encoding");
/// Longest timeout, in digits of milliseconds: 115 days.
const MAX_TIMEOUT_DIGITS: usize = 10;

/// Headers that say how a body is encoded, which it no longer is.
const OF_THE_BODY: [HeaderName; 7] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::ACCEPT_ENCODING,
    STREAM_ENCODING,
    STREAM_ACCEPTED,
    TIMEOUT,
    VERSION,
];

/// A call of a method.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) reading: Reading,
    pub(super) writing: Writing,
    pub(super) compression: Compression,
    /// Content type of the response.
    pub(super) content_type: HeaderValue,
    /// Whether messages have heads.
    pub(super) streams: bool,
    /// Longest message, and longest text of one.
    pub(super) max_bytes: usize,
}

/// How messages are encoded, by the content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Json,
    Proto,
    StreamedJson,
    StreamedProto,
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
    /// The call of a request for a method of `schema`, with messages of at most `max_bytes`. Turns
    /// its headers into those of a gRPC request.
    pub(super) fn of<B>(
        schema: &Schema,
        max_bytes: usize,
        request: &mut Request<B>,
    ) -> Result<Self, Refusal> {
        let unknown = || Status::unimplemented("the method is unknown");
        let method = schema.method(request.uri().path());
        let method = method.ok_or_else(|| Refusal::Status(unknown()))?;
        check_verb(request)?;
        let streams = method.streams_requests || method.streams_responses;
        let accepted = if streams {
            "application/connect+json, application/connect+proto"
        } else {
            "application/json, application/proto"
        };
        let codec = codec(request.headers()).filter(|codec| codec.streams() == streams);
        let codec = codec.ok_or(Refusal::ContentType(accepted))?;
        let max_bytes = match request.uri().path().starts_with(health::PATH) {
            true => max_bytes.min(health::MAX_MESSAGE),
            false => max_bytes,
        };
        Self::with(codec, (method, max_bytes), request)
    }

    /// The call of an upload: the method's request as JSON or protobuf, or the bytes of the upload's
    /// field and the others in the query.
    pub(super) fn of_upload<B>(
        schema: &Schema,
        (upload, max_bytes): (&UploadTarget, usize),
        request: &mut Request<B>,
    ) -> Result<Self, Refusal> {
        check_verb(request)?;
        let codec = codec(request.headers());
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let is_form = content_type.is_some_and(|it| begins_with(it, b"multipart/"));
        if is_form || codec.is_some_and(Codec::streams) {
            return Err(Refusal::ContentType(
                "application/octet-stream, application/json, application/proto",
            ));
        }
        let parameters = request.uri().query().unwrap_or_default();
        let parameters = url::form_urlencoded::parse(parameters.as_bytes());
        let parameters: Vec<_> = parameters.collect();
        let parameters = parameters.iter().map(|(name, value)| (&**name, &**value));
        let others = schema.parameters_to_wire(upload.method.input, parameters);
        let wants_text = request.headers().get(header::ACCEPT);
        let wants_text = wants_text.is_some_and(|it| it.as_bytes().starts_with(b"text/plain"));
        *request.uri_mut() = upload.uri.clone();
        let others = others.map_err(|error| {
            Refusal::Status(Status::invalid_argument(format!("query: {error}")))
        })?;
        if codec.is_some() && !others.is_empty() {
            return Err(Refusal::Status(Status::invalid_argument(
                "query: must be empty when the body is JSON or protobuf; set the fields in the body",
            )));
        }
        let method = (upload.method, max_bytes);
        let mut call = Self::with(codec.unwrap_or(Codec::Json), method, request)?;
        if codec.is_none() {
            call.reading = Reading::Upload(upload.field.clone(), others.into());
        }
        if wants_text {
            call.writing = Writing::Text(upload.text);
            call.content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        }
        Ok(call)
    }

    fn with<B>(
        codec: Codec,
        (method, max_bytes): (Method, usize),
        request: &mut Request<B>,
    ) -> Result<Self, Refusal> {
        let headers = request.headers();
        let encoding = if codec.streams() {
            STREAM_ENCODING
        } else {
            header::CONTENT_ENCODING
        };
        let compression = Compression::of(headers.get(encoding)).map_err(Refusal::Status)?;
        check_version(headers).map_err(Refusal::Status)?;
        if let Some(timeout) = timeout(headers).map_err(Refusal::Status)? {
            RequestContext::begin_in(request).set_timeout(timeout);
        }
        become_grpc(request.headers_mut());
        let (reading, writing) = match codec {
            Codec::Json | Codec::StreamedJson => {
                (Reading::Json(method.input), Writing::Json(method.output))
            }
            Codec::Proto | Codec::StreamedProto => (Reading::Proto, Writing::Proto),
        };
        Ok(Self {
            reading,
            writing,
            compression,
            content_type: HeaderValue::from_static(codec.content_type()),
            streams: codec.streams(),
            max_bytes,
        })
    }
}

impl Codec {
    const ALL: [Self; 4] = [
        Self::Json,
        Self::Proto,
        Self::StreamedJson,
        Self::StreamedProto,
    ];

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Proto => "application/proto",
            Self::StreamedJson => "application/connect+json",
            Self::StreamedProto => "application/connect+proto",
        }
    }

    fn streams(self) -> bool {
        matches!(self, Self::StreamedJson | Self::StreamedProto)
    }
}

/// Whether the content type is one of messages with heads.
pub(super) fn has_heads(headers: &HeaderMap) -> bool {
    codec(headers).is_some_and(Codec::streams)
}

/// The status of headers or trailers of gRPC, if it is an error.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

/// Copies metadata of a gRPC response, with names that begin with `prefix`.
pub(super) fn copy_metadata(prefix: &str, from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if name == header::CONTENT_TYPE || name.as_str().starts_with("grpc-") {
            continue;
        }
        if let Ok(name) = HeaderName::try_from(format!("{prefix}{name}")) {
            to.append(name, value.clone());
        }
    }
}

fn check_verb<B>(request: &Request<B>) -> Result<(), Refusal> {
    if request.method() == http::Method::POST {
        Ok(())
    } else {
        Err(Refusal::Method)
    }
}

fn codec(headers: &HeaderMap) -> Option<Codec> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let is_utf8 = ["", "charset=utf-8", "charset=\"utf-8\""]
        .iter()
        .any(|utf8| parameters.trim().eq_ignore_ascii_case(utf8));
    let kind = kind.trim();
    let is_named = |codec: &Codec| codec.content_type().eq_ignore_ascii_case(kind);
    Codec::ALL.into_iter().find(is_named).filter(|_| is_utf8)
}

fn begins_with(value: &HeaderValue, prefix: &[u8]) -> bool {
    let start = value.as_bytes().get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
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
            ("application/connect+json", Some(Codec::StreamedJson)),
            ("application/connect+proto", Some(Codec::StreamedProto)),
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
