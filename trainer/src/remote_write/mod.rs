//! Pushes every point of a job's curves, at the time it was made, by Prometheus remote write 1.0.
//!
//! A scrape every 15 s sees one point of a job that takes a second, so the points are also pushed:
//! under metric names of their own, off the training's thread, bounded in number, age and attempts.
//! Points that cannot be pushed are dropped and counted; the stored history of the job, which
//! `GetHistory` returns, does not depend on them.
//!
//! The protocol: <https://prometheus.io/docs/specs/prw/remote_write_spec/>.

mod address;
mod client;
mod credentials;
mod messages;
mod points;
mod queue;
mod sender;

pub use address::Address;
pub use credentials::Receiver;
pub(crate) use credentials::{read_file, root_certs};

use crate::{
    job::{CurveRow, JobId},
    metrics::PushMetrics,
};
use client::Client;
use digits_telemetry::supervisor::{Supervisor, Task};
use points::{Labels, Point};
use queue::Queue;
use sender::Sender;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

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
    queue: Arc<Queue>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl RemoteWrite {
    /// Starts the thread that pushes to a receiver.
    ///
    /// After a panic the thread is restarted without the batch that it pushed. It never fails
    /// liveness: jobs do not depend on it, and a restart of the process would interrupt them.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(
        receiver: Receiver,
        metrics: PushMetrics,
        supervisor: &Supervisor,
    ) -> Result<Self, StartError> {
        let client = Client::new(receiver).map_err(StartError::Credentials)?;
        let queue = Arc::new(Queue::new(metrics));
        let mut sender = Sender::new(client, Arc::clone(&queue));
        let closing = Arc::clone(&queue);
        let thread = supervisor.restart_thread(
            Task::new("remote_write"),
            move || closing.is_closing(),
            move || sender.run(),
        )?;
        Ok(Self(Some(Arc::new(Pushing {
            queue,
            thread: Mutex::new(Some(thread)),
        }))))
    }

    /// Begins the series of a job; they end when the returned value is dropped. The name is a label
    /// of the series.
    #[must_use]
    pub fn curve(&self, job: JobId, name: &str) -> Curve {
        Curve {
            labels: Arc::new(Labels {
                job,
                name: name.to_owned(),
            }),
            last_ms: None,
            pushing: self.0.clone(),
        }
    }

    /// Stops the thread after it has pushed the remaining points, for a few seconds at most.
    /// Blocks.
    pub fn close(&self) {
        let Some(pushing) = &self.0 else { return };
        pushing.queue.close();
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
    labels: Arc<Labels>,
    /// Timestamp of the newest point.
    last_ms: Option<i64>,
    pushing: Option<Arc<Pushing>>,
}

impl Curve {
    /// Takes new rows, oldest first; never waits for the receiver.
    pub fn rows(&mut self, rows: &[CurveRow]) {
        let Some(pushing) = &self.pushing else { return };
        let points = rows.iter().map(|row| {
            let mut point = Point::from(row);
            // Timestamps of a series must increase: a point of the same millisecond, or one after
            // the clock was set back, gets the next free millisecond.
            let next = self.last_ms.map_or(i64::MIN, |last| last.saturating_add(1));
            point.at_ms = point.at_ms.max(next);
            self.last_ms = Some(point.at_ms);
            point
        });
        pushing.queue.push(&self.labels, points);
    }
}

impl Drop for Curve {
    fn drop(&mut self) {
        // A job without points has no series.
        if let (Some(pushing), Some(last)) = (&self.pushing, self.last_ms) {
            let end = Point::end(last.saturating_add(1));
            pushing.queue.push(&self.labels, std::iter::once(end));
        }
    }
}

#[cfg(test)]
mod tests;
