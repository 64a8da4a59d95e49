//! The codec of all calls: Protobuf, with a limit on how many values a request holds.
//!
//! A message of two-byte fields takes more than a hundred times its size in memory once it is
//! decoded. So the values of a large request are counted in its encoded form first.

mod count;

use std::marker::PhantomData;

use bytes::Buf as _;
use count::{Schema, Work};
use prost::{Message, Name};
use tokio::runtime::{Handle, RuntimeFlavor};
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// Maximum number of messages, strings, byte strings and lists that a request holds.
pub const MAX_VALUES: usize = 100_000;
/// Requests up to this size are decoded without counting: they cannot take much memory.
const MAX_UNCOUNTED_BYTES: usize = 64 << 10;
/// A message with more bytes to look at is decoded while another thread runs the other tasks of this
/// one. Images and pictures are taken over as they are: a thread for each batch would cost more
/// memory than it saves time, because glibc's allocator gives each thread an arena of its own.
const MAX_INLINE_BYTES: usize = 1 << 20;

/// First size of the buffer of a call's requests, which grows as needed: tonic wants to have room for
/// twice the message, and this is enough for an image. Its default of 8 KiB costs memory for each
/// open stream and is no faster.
const DECODING_BYTES: usize = 2048;
/// First size of the buffer of its responses: that for one image needs less.
const ENCODING_BYTES: usize = 512;
/// A stream's responses are sent when they have this size together, as by default.
const YIELD_THRESHOLD: usize = 32 << 10;

/// Encodes and decodes messages. What decodes into a message whose name ends with `Request` is
/// limited to [`MAX_VALUES`]; a client trusts its server.
#[derive(Debug)]
pub struct Codec<E, D>(PhantomData<(E, D)>);

impl<E, D> Default for Codec<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E, D> tonic::codec::Codec for Codec<E, D>
where
    E: Message + Send + 'static,
    D: Message + Name + Default + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = ProstEncoder<E>;
    type Decoder = LimitedDecoder<D>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(buffer(ENCODING_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        LimitedDecoder(ProstDecoder::new(buffer(DECODING_BYTES)))
    }
}

fn buffer(size: usize) -> BufferSettings {
    BufferSettings::new(size, YIELD_THRESHOLD)
}

/// Decodes messages; refuses a request with more than [`MAX_VALUES`] values.
#[derive(Debug)]
pub struct LimitedDecoder<D>(ProstDecoder<D>);

impl<D: Message + Name + Default> Decoder for LimitedDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        let is_request = D::NAME.ends_with("Request");
        let mut parsed = buffer.remaining();
        if is_request && parsed > MAX_UNCOUNTED_BYTES {
            // All of the message: tonic buffers it as one piece.
            parsed = check_values::<D>(buffer.chunk())?;
        }
        let decoded = if parsed > MAX_INLINE_BYTES && is_multi_threaded() {
            tokio::task::block_in_place(|| self.0.decode(buffer))
        } else {
            self.0.decode(buffer)
        };
        match decoded {
            // The client's fault. tonic gives it INTERNAL, a fault of the server.
            Err(status) if is_request => Err(Status::invalid_argument(status.message())),
            decoded => decoded,
        }
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

/// Bytes of a request that decoding has to look at.
fn check_values<D: Name>(encoded: &[u8]) -> Result<usize, Status> {
    match Work::of(MAX_VALUES, encoded, Schema::of(&D::full_name())) {
        Some(work) => Ok(work.parsed(encoded.len())),
        None => Err(Status::invalid_argument(format!(
            "the request holds more than {MAX_VALUES} messages, strings and lists, the limit; send \
             several smaller requests"
        ))),
    }
}

fn is_multi_threaded() -> bool {
    Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}
