//! Pushes every point of a job's curves, at the time it was made, by Prometheus remote write 1.0.
//!
//! A scrape each 15 s sees one point of a job that takes a second. So the points are pushed beside it: under names of
//! their own, off the training's thread, bounded in number, age and attempts. A point that cannot be pushed is dropped
//! and counted; the job's own record, which `GetHistory` gives, does not depend on it.
//!
//! The protocol: <https://prometheus.io/docs/specs/prw/remote_write_spec/>.

mod address;
mod backlog;
mod client;
mod credentials;
mod messages;
mod points;
mod sender;

pub use address::Address;
pub use credentials::Receiver;

use crate::{
    job::{CurveRow, JobId},
    metrics::{DropReason, PushMetrics},
};
use client::Client;
use digits_telemetry::supervisor::{Supervisor, Task};
use points::{Point, SERIES};
use sender::{Message, Sender, State};
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

/// Points that may wait for the thread; it takes them between two pushes.
const MESSAGES_AT_MOST: usize = 8_192;

/// Why nothing can be pushed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file with a token or certificates is of no use; one line that names it.
    #[error("{0}")]
    Credentials(String),
    /// The system gives no thread.
    #[error("no thread to push curves")]
    Thread(#[from] io::Error),
}

/// The way to the receiver, if there is one; cheap to clone.
#[derive(Clone, Default)]
pub struct RemoteWrite(Option<Arc<Pushing>>);

struct Pushing {
    messages: SyncSender<Message>,
    metrics: PushMetrics,
    closing: Arc<AtomicBool>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl RemoteWrite {
    /// Starts the thread that pushes to a receiver. After a panic it is started anew, without the
    /// points that waited; it never
    /// fails liveness: jobs do not depend on it, and a restart of the process would interrupt them.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(
        receiver: Receiver,
        metrics: PushMetrics,
        supervisor: &Supervisor,
    ) -> Result<Self, StartError> {
        let client = Client::new(receiver).map_err(StartError::Credentials)?;
        let (messages, taken) = sync_channel(MESSAGES_AT_MOST);
        let closing = Arc::new(AtomicBool::new(false));
        let mut sender = Sender {
            client,
            metrics: metrics.clone(),
            messages: taken,
            closing: Arc::clone(&closing),
            state: State::new(),
        };
        let stop = Arc::clone(&closing);
        let thread = supervisor.restart_thread(
            Task::new("remote_write"),
            move || stop.load(Ordering::Acquire),
            move || sender.run(),
        )?;
        Ok(Self(Some(Arc::new(Pushing {
            messages,
            metrics,
            closing,
            thread: Mutex::new(Some(thread)),
        }))))
    }

    /// The curves of a job; they end when this is dropped.
    #[must_use]
    pub fn curve(&self, job: JobId) -> Curve {
        Curve {
            job,
            pushing: self.0.clone(),
        }
    }

    /// Ends the thread, which pushes what is left for a few seconds at the most. Blocks.
    pub fn close(&self) {
        let Some(pushing) = &self.0 else { return };
        pushing.closing.store(true, Ordering::Release);
        // A full queue wakes it as well.
        let _ = pushing.messages.try_send(Message::Wake);
        let mut thread = pushing
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // Its panics are caught and logged where they happen.
            let _ = thread.join();
        }
    }
}

/// The curves of one job, as far as they are pushed.
pub struct Curve {
    job: JobId,
    pushing: Option<Arc<Pushing>>,
}

impl Curve {
    /// The job.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Takes new rows, oldest first; never waits.
    pub fn rows(&self, rows: &[CurveRow]) {
        let Some(pushing) = &self.pushing else { return };
        for row in rows {
            let message = Message::Point(self.job, Point::from(row));
            if pushing.messages.try_send(message).is_err() {
                let samples = SERIES.len() as u64;
                pushing.metrics.dropped(DropReason::QueueFull, samples);
            }
        }
    }
}

impl Drop for Curve {
    fn drop(&mut self) {
        if let Some(pushing) = &self.pushing {
            // Lost only where points are lost too, which is counted.
            let _ = pushing.messages.try_send(Message::End(self.job));
        }
    }
}

#[cfg(test)]
mod tests;
