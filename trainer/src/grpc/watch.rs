//! WatchJob: the history of a job first, then what happens, without a gap and without a buffer that grows.
//!
//! A watcher is a sequence number and up to one read of events. One that is slow reads from the database later;
//! nothing waits for it.

use super::errors::store as store_status;
use crate::{
    job::JobId,
    store::{Store, StoredEvent},
};
use digits_proto::v1::{WatchJobResponse, watch_job_response::Event};
use futures::Stream;
use prost::Message as _;
use std::{collections::VecDeque, pin::Pin};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Events of a job.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchJobResponse, Status>> + Send>>;

struct Watcher {
    store: Store,
    job: JobId,
    sent: u64,
    news: watch::Receiver<u64>,
    shutdown: CancellationToken,
    read: VecDeque<StoredEvent>,
    /// The event of the end was sent.
    done: bool,
}

/// The events of `job` after `after`, up to its end.
#[must_use]
pub fn events(store: Store, job: JobId, after: u64, shutdown: CancellationToken) -> WatchStream {
    let watcher = Watcher {
        // Before the first read, so that nothing falls between the two.
        news: store.signals().subscribe(job),
        store,
        job,
        sent: after,
        shutdown,
        read: VecDeque::new(),
        done: false,
    };
    Box::pin(futures::stream::try_unfold(watcher, async |mut watcher| {
        let event = watcher.next().await?;
        Ok(event.map(|event| (event, watcher)))
    }))
}

impl Watcher {
    async fn next(&mut self) -> Result<Option<WatchJobResponse>, Status> {
        if self.done {
            return Ok(None);
        }
        while self.read.is_empty() {
            // What comes after this is seen by `changed`, even when it comes before the read is over.
            self.news.borrow_and_update();
            let (events, ended) = self
                .store
                .events_after(self.job, self.sent)
                .await
                .map_err(|error| store_status(error, &self.job.to_string()))?;
            if events.is_empty() {
                if ended {
                    return Ok(None);
                }
                self.wait().await?;
            }
            self.read.extend(events);
        }
        let Some(event) = self.read.pop_front() else {
            return Ok(None);
        };
        self.sent = event.sequence;
        let message = WatchJobResponse::decode(event.message.as_slice()).map_err(|error| {
            tracing::error!(job = %self.job, %error, "an event cannot be read back");
            Status::internal("an event of this job cannot be read; the trainer's log has more")
        })?;
        self.done = matches!(message.event, Some(Event::Finished(_)));
        Ok(Some(message))
    }

    async fn wait(&mut self) -> Result<(), Status> {
        let changed = self.shutdown.run_until_cancelled(self.news.changed());
        match changed.await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(Status::unavailable(
                "the trainer is shutting down: watch again after the last sequence number that came",
            )),
        }
    }
}
