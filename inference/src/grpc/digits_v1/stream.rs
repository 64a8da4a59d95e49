//! `PredictStream`: one request at a time.
//!
//! The next request is read when the response before it was taken. So a slow reader slows its
//! writer, and a stream holds the memory of one request. It ends with its connection, between two
//! requests.

use super::predict::Handler;
use crate::{grpc::status::invalid_field, predict::PredictContext};
use digits_proto::v1::{PredictRequest, PredictStreamRequest, PredictStreamResponse};
use futures::{Stream, StreamExt as _, stream};
use std::{pin::Pin, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

/// Responses of a stream.
pub(super) type Responses =
    Pin<Box<dyn Stream<Item = Result<PredictStreamResponse, Status>> + Send>>;

/// A stream of requests and what they need.
pub(super) struct PredictStream {
    pub(super) handler: Handler,
    pub(super) requests: Streaming<PredictStreamRequest>,
    pub(super) context: PredictContext,
    /// Cancelled at the maximum age of the connection, and at the shutdown.
    pub(super) end: CancellationToken,
}

impl PredictStream {
    /// The responses to the requests, in their order, up to the first error.
    pub(super) fn responses(self) -> Responses {
        let responses = stream::unfold(Some(self), async |stream| {
            let mut stream = stream?;
            let response = stream.next_response().await.transpose()?;
            let rest = response.is_ok().then_some(stream);
            Some((response, rest))
        });
        responses.boxed()
    }

    /// The response to the next request; `None` at the end of the stream.
    async fn next_response(&mut self) -> Result<Option<PredictStreamResponse>, Status> {
        let Some(request) = self.next_request().await? else {
            return Ok(None);
        };
        // The wait for a request is not part of its response time.
        self.context.started = Instant::now();
        let response = self.handler.predict(request, &self.context).await?;
        Ok(Some(PredictStreamResponse {
            response: Some(response),
        }))
    }

    async fn next_request(&mut self) -> Result<Option<PredictRequest>, Status> {
        let next = self.end.run_until_cancelled(self.requests.message());
        let next = self.context.deadline.limit(next).await?;
        let message = next.ok_or_else(|| {
            Status::unavailable("the server closes this connection; open the stream again")
        })??;
        match message {
            None => Ok(None),
            Some(PredictStreamRequest {
                request: Some(request),
            }) => Ok(Some(request)),
            Some(PredictStreamRequest { request: None }) => {
                Err(invalid_field("request", "must be set"))
            }
        }
    }
}
