//! Translates messages between Connect and gRPC: what all calls share.

use std::sync::Arc;
use std::thread::available_parallelism;

use bytes::Bytes;
use digits_transcode::{BytesField, InvalidJson, MessageId, Schema};
use tokio::sync::Semaphore;
use tonic::Status;

use super::compression::Compression;
use crate::middleware::InstrumentedService;

/// Longest description of what is wrong with a message.
const MAX_ERROR_BYTES: usize = 1 << 10;

/// Longest message that is translated inline.
const MAX_INLINE_BYTES: usize = 32 << 10;

/// The schema, the services, and the limits.
pub(super) struct Translation {
    pub(super) schema: Schema,
    pub(super) service: InstrumentedService,
    /// Longest message of a call, and longest text of one.
    pub(super) max_bytes: usize,
    /// Permits of translations on threads that may block.
    blocking: Arc<Semaphore>,
}

/// The form of requests.
#[derive(Debug, Clone)]
pub(super) enum Reading {
    Json(MessageId),
    Proto,
    /// Bytes of a field, and the other fields of the message.
    Upload(BytesField, Bytes),
}

/// The form of responses.
#[derive(Debug, Clone, Copy)]
pub(super) enum Writing {
    Json(MessageId),
    Proto,
    Text(fn(&[u8]) -> String),
}

impl Translation {
    pub(super) fn new(schema: Schema, service: &InstrumentedService, max_bytes: usize) -> Self {
        let cores = available_parallelism().map_or(1, |cores| cores.get());
        Self {
            schema,
            service: service.with_paced_bodies(),
            max_bytes,
            blocking: Arc::new(Semaphore::new(cores)),
        }
    }

    /// The encoded message of a request, of at most `max_bytes`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when it is malformed, OUT_OF_RANGE when it is too long.
    pub(super) async fn read(
        self: &Arc<Self>,
        reading: Reading,
        compression: Compression,
        received: Bytes,
        max_bytes: usize,
    ) -> Result<Bytes, Status> {
        // What is compressed may be a thousand times as long.
        let bytes = match compression {
            Compression::Identity => received.len(),
            _ => max_bytes,
        };
        let shared = Arc::clone(self);
        let read = move || {
            let received = compression.unpack(received, max_bytes)?;
            match reading {
                Reading::Proto => Ok(received),
                Reading::Json(input) => {
                    let wire = shared.schema.to_wire(input, &received, max_bytes);
                    wire.map(Bytes::from).map_err(|error| match error {
                        InvalidJson::Syntax(mut error) => {
                            error.truncate(error.floor_char_boundary(MAX_ERROR_BYTES));
                            Status::invalid_argument(format!("invalid JSON: {error}"))
                        }
                        error @ InvalidJson::TooLong(_) => Status::out_of_range(error.to_string()),
                    })
                }
                Reading::Upload(field, others) => {
                    let mut wire = field.to_wire(&received);
                    wire.extend_from_slice(&others);
                    Ok(wire.into())
                }
            }
        };
        self.run(bytes, read).await
    }

    /// An encoded response in its form.
    ///
    /// # Errors
    /// INTERNAL when it has no JSON form.
    pub(super) async fn write(
        self: &Arc<Self>,
        writing: Writing,
        message: Bytes,
    ) -> Result<Bytes, Status> {
        let output = match writing {
            Writing::Proto => return Ok(message),
            Writing::Text(text) => return Ok(text(&message).into()),
            Writing::Json(output) => output,
        };
        let (shared, bytes) = (Arc::clone(self), message.len());
        let write = move || {
            let json = shared.schema.to_json(output, &message);
            json.map(Bytes::from).map_err(|error| {
                tracing::error!(%error, "a response has no JSON form");
                Status::internal("the response has no JSON form; see the server's log")
            })
        };
        self.run(bytes, write).await
    }

    /// Runs `translate`, which looks at `bytes` bytes: inline if they are few, otherwise on a thread
    /// that may block, as many at one time as there are cores.
    async fn run(
        &self,
        bytes: usize,
        translate: impl FnOnce() -> Result<Bytes, Status> + Send + 'static,
    ) -> Result<Bytes, Status> {
        if bytes <= MAX_INLINE_BYTES {
            return translate();
        }
        let permit = Arc::clone(&self.blocking).acquire_owned().await;
        let translated = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            translate()
        });
        translated.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a message could not be translated");
            Err(Status::internal("the request failed; see the server's log"))
        })
    }
}
