//! `PredictStream`: one request at a time. The next one is read when the answer before it was taken, so a slow reader slows its
//! writer, and a stream holds the memory of one request.

use super::{Inference, RequestContext};
use digits_proto::v1::{PredictStreamRequest, PredictStreamResponse};
use digits_server::violations::Violations;
use futures::{Stream, StreamExt as _, stream};
use std::{pin::Pin, time::Instant};
use tonic::{Status, Streaming};

/// Answers of a stream.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<PredictStreamResponse, Status>> + Send>>;

/// The answers to `requests`, in their order, up to the first error.
pub(super) fn answers(
    service: Inference,
    requests: Streaming<PredictStreamRequest>,
    asked: RequestContext,
) -> Answers {
    let state = Some((service, requests, asked));
    let answers = stream::unfold(state, move |state| async move {
        let (service, mut requests, mut asked) = state?;
        let answer = service.next_answer(&mut requests, &mut asked).await?;
        let more = answer.is_ok().then_some((service, requests, asked));
        Some((answer, more))
    });
    answers.boxed()
}

impl Inference {
    /// The answer to the next request of a stream; `None` at its end.
    async fn next_answer(
        &self,
        requests: &mut Streaming<PredictStreamRequest>,
        asked: &mut RequestContext,
    ) -> Option<Result<PredictStreamResponse, Status>> {
        let shutdown = &self.shared.shutdown;
        let next = shutdown.run_until_cancelled(requests.message());
        let request = match asked.deadline.limit(next).await {
            Err(late) => return Some(Err(late)),
            Ok(None) => {
                return Some(Err(Status::unavailable(
                    "the server is shutting down; open the stream again",
                )));
            }
            Ok(Some(Err(status))) => return Some(Err(status)),
            Ok(Some(Ok(None))) => return None,
            Ok(Some(Ok(Some(request)))) => request,
        };
        let Some(request) = request.request else {
            let mut violations = Violations::new();
            violations.push("request", "must be set");
            return Some(Err(violations.into_status()));
        };
        // Each request of a stream has its own time; the wait for it is its writer's.
        asked.since = Instant::now();
        let answer = self.predict_one(request, asked).await;
        Some(answer.map(|response| PredictStreamResponse {
            response: Some(response),
        }))
    }
}
