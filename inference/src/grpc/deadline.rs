//! Until when the client wants its answer: the `grpc-timeout` of the gRPC protocol.

use digits_server::grpc_timeout;
use std::time::Instant;
use tonic::{Status, metadata::MetadataMap};

/// The client's deadline, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// Reads it from a request's metadata; one that cannot be read is none.
    pub(super) fn of(metadata: &MetadataMap) -> Self {
        let timeout = grpc_timeout(metadata.as_ref());
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// When it is, if there is one.
    pub(super) fn at(self) -> Option<Instant> {
        self.0
    }

    /// Whether nobody waits any more.
    pub(super) fn is_over(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }

    /// Waits for `future` no longer than the client waits.
    ///
    /// # Errors
    ///
    /// DEADLINE_EXCEEDED when it was over first.
    pub(super) async fn limit<F: Future>(self, future: F) -> Result<F::Output, Status> {
        let Some(at) = self.0 else {
            return Ok(future.await);
        };
        let limited = tokio::time::timeout_at(at.into(), future).await;
        limited.map_err(|_| Status::deadline_exceeded("the deadline of the stream is over"))
    }

    /// # Errors
    ///
    /// DEADLINE_EXCEEDED when it is over.
    pub(super) fn check(self) -> Result<(), Status> {
        if self.is_over() {
            return Err(Status::deadline_exceeded(
                "the deadline was over before the work began",
            ));
        }
        Ok(())
    }
}
