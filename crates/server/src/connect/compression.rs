//! `Content-Encoding` of unary requests: gzip and deflate, up to the limit of an uncompressed body.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http::HeaderValue;
use tonic::Status;

/// How a message is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Identity,
    Gzip,
    /// The zlib format (RFC 1950), which HTTP calls deflate.
    Deflate,
}

impl Compression {
    /// The compression that a header names.
    ///
    /// # Errors
    /// UNIMPLEMENTED, with the names that are known.
    pub(super) fn of(header: Option<&HeaderValue>) -> Result<Self, Status> {
        match header.map_or(&b""[..], HeaderValue::as_bytes) {
            b"" | b"identity" => Ok(Self::Identity),
            b"gzip" => Ok(Self::Gzip),
            b"deflate" => Ok(Self::Deflate),
            _ => Err(Status::unimplemented(
                "this compression is not supported; supported are gzip, deflate and identity",
            )),
        }
    }

    /// The message as it was before; at most `max_bytes` of it. Blocks.
    ///
    /// # Errors
    /// OUT_OF_RANGE when it is longer, INVALID_ARGUMENT when it is not compressed so.
    pub(super) fn unpack(self, packed: Bytes, max_bytes: usize) -> Result<Bytes, Status> {
        match self {
            Self::Identity => Ok(packed),
            Self::Gzip => unpack(MultiGzDecoder::new(&*packed), "gzip", max_bytes),
            Self::Deflate => unpack(ZlibDecoder::new(&*packed), "deflate", max_bytes),
        }
    }
}

fn unpack(decoder: impl Read, name: &str, max_bytes: usize) -> Result<Bytes, Status> {
    let mut unpacked = Vec::new();
    // One more shows that there is more.
    let limit = u64::try_from(max_bytes).map_or(u64::MAX, |bytes| bytes.saturating_add(1));
    if let Err(error) = decoder.take(limit).read_to_end(&mut unpacked) {
        return Err(Status::invalid_argument(format!(
            "the message is not valid {name}: {error}"
        )));
    }
    if unpacked.len() > max_bytes {
        return Err(Status::out_of_range(format!(
            "the message unpacks to more than {max_bytes} bytes, the limit"
        )));
    }
    Ok(unpacked.into())
}
