//! Pushes every point of a job's curves, at the time it was made, by Prometheus remote write 1.0.
//!
//! A scrape every 15 s sees one point of a job that takes a second, so the points are also pushed:
//! under metric names of their own, off the training's thread, bounded in number, age and attempts.
//! Points that cannot be pushed are dropped and counted; the stored history of the job, which
//! `GetHistory` returns, does not depend on them.
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

/// Capacity of the queue to the push thread, which empties it between two pushes.
const MESSAGES_AT_MOST: usize = 8_192;

/// Error of starting the push thread.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The token file or CA file is not usable; one line that names it.
    #[error("{0}")]
    Credentials(String),
    /// The operating system cannot create a thread.
    #[error("no thread to push curves")]
    Thread(#[from] io::Error),
}

/// Handle to the push thread, if a receiver is configured; cheap to clone.
#[derive(Clone, Default)]
pub struct RemoteWrite(Option<Arc<Pushing>>);

struct Pushing {
    messages: SyncSender<Message>,
    metrics: PushMetrics,
    closing: Arc<AtomicBool>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl RemoteWrite {
    /// Starts the thread that pushes to a receiver.
    ///
    /// After a panic the thread is restarted without the queued points. It never fails liveness:
    /// jobs do not depend on it, and a restart of the process would interrupt them.
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

    /// Begins the series of a job; they end when the returned value is dropped.
    #[must_use]
    pub fn curve(&self, job: JobId) -> Curve {
        Curve {
            job,
            pushing: self.0.clone(),
        }
    }

    /// Stops the thread after it has pushed the remaining points, for a few seconds at most.
    /// Blocks.
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

/// The pushed series of one job.
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
