//! Follows the events of a job: the stored ones first, then the new ones, without a gap and with a
//! bounded buffer.
//!
//! A watcher holds a sequence number and at most one read of events. A slow one reads from the
//! database later; nothing waits for it.

use crate::{
    job::JobId,
    store::{Store, StoreError, StoredEvent},
};
use futures::Stream;
use std::collections::VecDeque;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Why a watch ended before the job did.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The events could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process is shutting down, or the watcher's connection is closed at its maximum age.
    #[error("the watch ends before the job")]
    Ended,
}

struct Watcher {
    store: Store,
    job: JobId,
    /// The last event that was returned.
    sent: u64,
    newest: watch::Receiver<u64>,
    end: CancellationToken,
    /// Whether the events in the buffer are the last ones because of `end`.
    ending: bool,
    buffer: VecDeque<StoredEvent>,
}

/// The events of `job` after the sequence number `after`, up to its last or until `end` is cancelled.
pub fn events(
    store: Store,
    job: JobId,
    after: u64,
    end: CancellationToken,
) -> impl Stream<Item = Result<StoredEvent, WatchError>> + Send {
    let watcher = Watcher {
        // Before the first read, so that no event is missed in between.
        newest: store.signals().subscribe(job),
        store,
        job,
        sent: after,
        end,
        ending: false,
        buffer: VecDeque::new(),
    };
    futures::stream::try_unfold(watcher, async |mut watcher| {
        let event = watcher.next().await?;
        Ok(event.map(|event| (event, watcher)))
    })
}

impl Watcher {
    async fn next(&mut self) -> Result<Option<StoredEvent>, WatchError> {
        while self.buffer.is_empty() {
            if self.ending {
                return Err(WatchError::Ended);
            }
            let ending = self.end.is_cancelled();
            // `changed` sees every later event, even one that is written during the read.
            self.newest.borrow_and_update();
            let (events, ended) = self.store.events_after(self.job, self.sent).await?;
            if events.is_empty() {
                if ended {
                    return Ok(None);
                }
                self.wait().await?;
            }
            // The events of a job that has ended come to an end by themselves.
            self.ending = ending && !ended;
            self.buffer.extend(events);
        }
        let event = self.buffer.pop_front();
        self.sent = event.as_ref().map_or(self.sent, |event| event.sequence);
        Ok(event)
    }

    async fn wait(&mut self) -> Result<(), WatchError> {
        let changed = self.end.run_until_cancelled(self.newest.changed());
        match changed.await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(WatchError::Ended),
        }
    }
}
