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
    job::{CurveRow, JobId, now_us},
    metrics::PushMetrics,
};
use client::Client;
use digits_telemetry::supervisor::{Supervisor, Task};
use points::{Labels, Point, Timestamps};
use queue::Queue;
use sender::Sender;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Time before the newest row for which rows are pushed again after a crash: longer than points wait
/// for a receiver that answers.
const PUSHED_AGAIN_US: i64 = 30_000_000;
/// Age after which rows are not pushed again: well within the out-of-order window in
/// `deploy/prometheus`, after which Prometheus refuses samples.
const MAX_AGE_PUSHED_AGAIN_US: i64 = 15 * 60_000_000;

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

    /// Whether a receiver is configured.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins the series of a job, or continues them after `earlier`, the newest rows that were
    /// pushed before. They end when the returned value is dropped. The name is a label of the
    /// series.
    #[must_use]
    pub fn curve(&self, job: JobId, name: &str, earlier: &[CurveRow]) -> Curve {
        let mut times = Timestamps::default();
        for row in earlier {
            times.next(row.at_us);
        }
        if !earlier.is_empty() {
            // The end of the series, which may have been pushed after them.
            times.next(i64::MIN);
        }
        Curve {
            labels: Arc::new(Labels {
                job,
                name: name.to_owned(),
            }),
            times,
            pushed: false,
            pushing: self.0.clone(),
        }
    }

    /// Pushes the newest of `rows` once more, at the same times: the process that recorded them may
    /// have died before it pushed them. A receiver takes a sample that it has as one.
    pub fn push_again(&self, job: JobId, name: &str, rows: &[CurveRow]) {
        let (Some(pushing), Some(newest)) = (&self.0, rows.last()) else {
            return;
        };
        let age_us = now_us().saturating_sub(newest.at_us);
        if age_us > MAX_AGE_PUSHED_AGAIN_US {
            return;
        }
        let since_us = newest.at_us.saturating_sub(PUSHED_AGAIN_US);
        let mut times = Timestamps::default();
        let points = rows.iter().map(|row| times.point(row));
        let points: Vec<Point> = points
            .skip_while(|point| point.at_ms < since_us.div_euclid(1_000))
            .collect();
        let labels = Arc::new(Labels {
            job,
            name: name.to_owned(),
        });
        pushing.queue.push(&labels, points.into_iter());
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
    times: Timestamps,
    /// Whether there is a point.
    pushed: bool,
    pushing: Option<Arc<Pushing>>,
}

impl Curve {
    /// Takes new rows, oldest first; never waits for the receiver.
    pub fn rows(&mut self, rows: &[CurveRow]) {
        let Some(pushing) = &self.pushing else { return };
        self.pushed |= !rows.is_empty();
        let points = rows.iter().map(|row| self.times.point(row));
        pushing.queue.push(&self.labels, points);
    }
}

impl Drop for Curve {
    fn drop(&mut self) {
        // A job without points has no series.
        if let (Some(pushing), true) = (&self.pushing, self.pushed) {
            let end = Point::end(self.times.next(i64::MIN));
            pushing.queue.push(&self.labels, std::iter::once(end));
        }
    }
}

#[cfg(test)]
mod tests;
