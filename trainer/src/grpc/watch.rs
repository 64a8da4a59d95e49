//! The stream of WatchJob: the events of [`crate::watch`] as messages.

use super::errors::{internal, store as store_status};
use crate::{
    job::JobId,
    store::{Store, StoredEvent},
    watch::{self, WatchError},
};
use digits_proto::v1::WatchJobResponse;
use futures::{Stream, StreamExt as _};
use prost::Message as _;
use std::pin::Pin;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Events of a job.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchJobResponse, Status>> + Send>>;

/// The events of `job` after the sequence number `after`, up to its last or until `end`.
pub(super) fn events(store: Store, job: JobId, after: u64, end: CancellationToken) -> WatchStream {
    let events = watch::events(store, job, after, end);
    Box::pin(events.map(move |event| message(job, event)))
}

fn message(job: JobId, event: Result<StoredEvent, WatchError>) -> Result<WatchJobResponse, Status> {
    match event {
        Ok(event) => WatchJobResponse::decode(event.message.as_slice()).map_err(|error| {
            tracing::error!(%job, %error, "a stored event cannot be decoded");
            internal()
        }),
        Err(WatchError::Store(error)) => Err(store_status(error, &job.to_string())),
        Err(WatchError::Ended) => Err(Status::unavailable(
            "the trainer closes this connection: watch again after the last sequence number received",
        )),
    }
}
