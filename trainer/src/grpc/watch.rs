//! The stream of WatchJob: the events of [`crate::watch`] as messages, with heartbeats while nothing
//! happens.

use super::errors::{internal, store as store_status};
use crate::{
    job::{JobId, now_us},
    store::{Store, StoredEvent},
    watch::{self, WatchError},
    wire,
};
use digits_proto::v1::{Heartbeat, WatchJobResponse, watch_job_response::Event};
use futures::{Stream, StreamExt as _};
use prost::Message as _;
use std::{pin::Pin, time::Duration};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Silence after which a heartbeat is sent. Proxies close a stream without messages after a minute
/// (nginx, AWS) or more; HTTP/2 pings do not count, because they are not passed on.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// Events of a job.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchJobResponse, Status>> + Send>>;

/// The events of `job` after the sequence number `after`, up to its last or until `end`.
pub(super) fn events(store: Store, job: JobId, after: u64, end: CancellationToken) -> WatchStream {
    let events = watch::events(store, job, after, end);
    let messages = events.map(move |event| message(job, event));
    Box::pin(with_heartbeats(messages, after))
}

/// The messages of `events`, and a heartbeat whenever there was none for the interval. `seen` is the
/// sequence number before the first event.
fn with_heartbeats(
    events: impl Stream<Item = Result<WatchJobResponse, Status>> + Send + 'static,
    seen: u64,
) -> impl Stream<Item = Result<WatchJobResponse, Status>> + Send {
    futures::stream::unfold((Box::pin(events), seen), async |(mut events, mut seen)| {
        // Nothing is lost at the timeout: the stream keeps what it waits for.
        let item = match tokio::time::timeout(HEARTBEAT_INTERVAL, events.next()).await {
            Ok(event) => event?,
            Err(_) => Ok(heartbeat(seen)),
        };
        if let Ok(event) = &item {
            seen = event.sequence;
        }
        Some((item, (events, seen)))
    })
}

/// A client that resumes after its sequence number misses nothing.
fn heartbeat(seen: u64) -> WatchJobResponse {
    WatchJobResponse {
        sequence: seen,
        at: Some(wire::timestamp(now_us())),
        event: Some(Event::Heartbeat(Heartbeat {})),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::v1::JobStateChanged;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_silent_watch_sends_heartbeats_and_loses_no_event() {
        let event = |sequence| WatchJobResponse {
            sequence,
            at: None,
            event: Some(Event::StateChanged(JobStateChanged::default())),
        };
        // The second event comes between the second and the third interval.
        let late = HEARTBEAT_INTERVAL * 5 / 2;
        let events = futures::stream::unfold(6, move |sequence| async move {
            match sequence {
                6 => {}
                7 => tokio::time::sleep(late).await,
                _ => return None,
            }
            Some((Ok(event(sequence)), sequence + 1))
        });
        let started = Instant::now();
        let sent: Vec<(u64, bool, Duration)> = with_heartbeats(events, 5)
            .map(|message| {
                let message = message.expect("a message");
                let beats = matches!(message.event, Some(Event::Heartbeat(_)));
                (message.sequence, beats, started.elapsed())
            })
            .collect()
            .await;
        let beat = HEARTBEAT_INTERVAL;
        assert_eq!(
            sent,
            [
                (6, false, Duration::ZERO),
                (6, true, beat),
                (6, true, beat * 2),
                (7, false, late),
            ]
        );
    }
}
