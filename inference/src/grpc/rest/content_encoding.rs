//! `Content-Encoding` of request bodies: gzip and deflate, up to the limit of an uncompressed body.

use super::error::Failure;
use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode, header},
};
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use std::io::{self, Read as _};

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentEncoding {
    Identity,
    Gzip,
    /// The zlib format (RFC 1950), which HTTP calls deflate.
    Deflate,
}

impl ContentEncoding {
    /// The encoding that the headers name.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let mut encoding = Self::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let name = String::from_utf8_lossy(value.as_bytes());
            let named = match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Self::Gzip,
                "deflate" => Self::Deflate,
                _ => return Err(unsupported(&name)),
            };
            if encoding != Self::Identity {
                return Err(unsupported("several encodings"));
            }
            encoding = named;
        }
        Ok(encoding)
    }

    /// The body as it was before; at most `max_bytes` of it are unpacked. Blocks.
    pub(super) fn decode(self, body: Bytes, max_bytes: usize) -> Result<Bytes, Failure> {
        match self {
            Self::Identity => Ok(body),
            Self::Gzip => {
                let unpacked = unpack(MultiGzDecoder::new(&*body), max_bytes);
                unpacked.map_err(|error| invalid("gzip", &error))?
            }
            Self::Deflate => {
                let mut rest = &*body;
                let unpacked = unpack(ZlibDecoder::new(&mut rest), max_bytes);
                let unpacked = unpacked.map_err(|error| invalid("deflate", &error))??;
                if !rest.is_empty() {
                    let message = format!("{} bytes follow its end", rest.len());
                    return Err(invalid("deflate", &message));
                }
                Ok(unpacked)
            }
        }
    }
}

fn unpack(decoder: impl io::Read, max_bytes: usize) -> io::Result<Result<Bytes, Failure>> {
    let mut unpacked = Vec::new();
    // One more shows that there is more.
    let limit = u64::try_from(max_bytes).map_or(u64::MAX, |bytes| bytes.saturating_add(1));
    decoder.take(limit).read_to_end(&mut unpacked)?;
    if unpacked.len() > max_bytes {
        let message = format!(
            "the body unpacks to more than the {max_bytes} bytes that the server accepts; send fewer images"
        );
        return Ok(Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)));
    }
    Ok(Ok(unpacked.into()))
}

fn unsupported(name: &str) -> Failure {
    let name: String = name.chars().take(40).collect();
    let message = format!("content-encoding: {name:?} is not supported; use gzip, deflate or none");
    Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
}

fn invalid(name: &str, error: &impl std::fmt::Display) -> Failure {
    let message = format!("the body is not valid {name}: {error}");
    Failure::field(header::CONTENT_ENCODING, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{http::HeaderValue, response::IntoResponse as _};
    use flate2::{Compression, write};
    use std::io::Write as _;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = write::GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn decode(encoding: &'static str, body: &[u8]) -> Result<Bytes, StatusCode> {
        let mut headers = HeaderMap::new();
        for value in encoding.split('+') {
            let value = HeaderValue::from_static(value);
            headers.append(header::CONTENT_ENCODING, value);
        }
        let decoded = ContentEncoding::of(&headers)
            .and_then(|encoding| encoding.decode(Bytes::copy_from_slice(body), 1000));
        decoded.map_err(|failure| failure.into_response().status())
    }

    #[test]
    fn a_body_is_decoded_as_its_header_says() {
        let text = b"seven".repeat(200);
        for (encoding, body) in [
            ("identity", text.clone()),
            ("gzip", gzip(&text)),
            ("X-GZIP", gzip(&text)),
            ("gzip+identity", gzip(&text)),
            // A file of two members is one text (RFC 1952).
            ("gzip", [gzip(&text[..7]), gzip(&text[7..])].concat()),
            ("Deflate", deflate(&text)),
        ] {
            assert_eq!(decode(encoding, &body).as_deref(), Ok(&*text), "{encoding}");
        }
    }

    #[test]
    fn a_bad_body_or_encoding_is_refused() {
        let (gz, zlib) = (gzip(b"seven"), deflate(b"seven"));
        let behind = |body: &[u8]| [body, b"more"].concat();
        let zeros = vec![0; 10 << 20];
        let (too_large, unknown) = (
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        );
        for (encoding, body, status) in [
            ("br", b"x".to_vec(), unknown),
            ("gzip, gzip", gzip(&gz), unknown),
            ("gzip+gzip", gzip(&gz), unknown),
            ("gzip", b"seven".to_vec(), StatusCode::BAD_REQUEST),
            ("gzip", gz[..gz.len() - 1].to_vec(), StatusCode::BAD_REQUEST),
            ("gzip", behind(&gz), StatusCode::BAD_REQUEST),
            ("gzip", zlib.clone(), StatusCode::BAD_REQUEST),
            ("deflate", gz.clone(), StatusCode::BAD_REQUEST),
            ("deflate", zlib[..7].to_vec(), StatusCode::BAD_REQUEST),
            ("deflate", behind(&zlib), StatusCode::BAD_REQUEST),
            ("gzip", gzip(&zeros), too_large),
            ("deflate", deflate(&zeros), too_large),
        ] {
            let refused = decode(encoding, &body).expect_err(encoding);
            assert_eq!(refused, status, "{encoding}, {} bytes", body.len());
        }
    }
}
