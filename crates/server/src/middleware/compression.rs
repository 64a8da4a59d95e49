//! gzip and deflate of gRPC messages (`grpc-encoding`).
//!
//! A response is compressed as its request was, as in grpc-go. tonic alone would compress each
//! response whose client is able to read it: clients built on gRPC's C core say so in every
//! request, and a response of a few hundred bytes would cost more time than the network saves.

use http::{HeaderMap, HeaderName};

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Lets a generated server read gzip and deflate, and answer in the encoding of the request. What a
/// message unpacks to is limited by `max_decoding_message_size`.
#[macro_export]
macro_rules! compressed {
    ($server:expr) => {{
        use $crate::CompressionEncoding::{Deflate, Gzip};
        $server
            .accept_compressed(Gzip)
            .accept_compressed(Deflate)
            .send_compressed(Gzip)
            .send_compressed(Deflate)
    }};
}

/// Reduces the encodings that the client accepts to the one of its request.
pub(super) fn accept_own_encoding(headers: &mut HeaderMap) {
    if !headers.contains_key(ACCEPTED) {
        return;
    }
    let is_accepted = |own: &[u8]| {
        let mut accepted = headers[ACCEPTED].as_bytes().split(|&byte| byte == b',');
        accepted.any(|it| it.trim_ascii() == own)
    };
    match headers.get(ENCODING) {
        Some(own) if is_accepted(own.as_bytes()) => {
            let own = own.clone();
            headers.insert(ACCEPTED, own);
        }
        _ => {
            headers.remove(ACCEPTED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_response_may_have_the_encoding_of_its_request_alone() {
        let all = "identity, deflate, gzip";
        for (encoding, accepted, expected) in [
            (None, None, None),
            (None, Some(all), None),
            (Some("identity"), Some(all), Some("identity")),
            (Some("gzip"), Some(all), Some("gzip")),
            (Some("deflate"), Some("identity,deflate"), Some("deflate")),
            (Some("gzip"), Some("identity"), None),
            (Some("gzip"), None, None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(ENCODING, encoding), (ACCEPTED, accepted)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            accept_own_encoding(&mut headers);
            let left = headers.get(ACCEPTED).and_then(|it| it.to_str().ok());
            assert_eq!(left, expected, "{encoding:?} {accepted:?}");
        }
    }
}
