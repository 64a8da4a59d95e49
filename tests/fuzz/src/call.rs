//! Calls of a service with messages in their encoded form.

use bytes::{Buf as _, BufMut as _, Bytes};
use std::time::Duration;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::Channel,
};

/// More than any answer takes; a watch has none.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Calls a method with these messages, and receives its first answer.
///
/// # Panics
/// When the service fails.
pub async fn call(channel: Channel, path: &str, messages: Vec<Vec<u8>>) {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.expect("the service listens");
    let path: PathAndQuery = path.parse().expect("a path");
    let messages = messages.into_iter().map(Bytes::from);
    let mut request = Request::new(tokio_stream::iter(messages.collect::<Vec<_>>()));
    request.set_timeout(TIMEOUT);
    let answered = async {
        let mut answers = grpc
            .streaming(request, path.clone(), AsBytes)
            .await?
            .into_inner();
        answers.message().await
    };
    if let Err(status) = answered.await {
        check(&status, path.as_str());
    }
}

/// Checks that a request was refused, and that nothing failed.
///
/// # Panics
/// When the status is that of a bug.
pub fn check(status: &Status, path: &str) {
    let is_a_bug = matches!(
        status.code(),
        Code::Internal | Code::Unknown | Code::DataLoss | Code::DeadlineExceeded
    );
    assert!(!is_a_bug, "{path}: {status:?}");
}

/// Encoded messages as they are.
struct AsBytes;

impl Codec for AsBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
