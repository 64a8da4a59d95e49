//! A bounded queue from the training's thread to the task that writes what is put into it.

use super::error::JobError;
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};

/// The training's end of a queue.
pub(super) struct Sink<T> {
    queue: mpsc::Sender<T>,
    task: JoinHandle<Result<(), JobError>>,
}

/// The task has ended, so nothing is written any more; [`Sink::close`] returns the reason.
#[derive(Debug, thiserror::Error)]
#[error("the task that writes this output has ended")]
pub(super) struct SinkClosed;

impl<T> Sink<T> {
    /// Starts a task that writes what is put into a queue of `capacity`.
    pub(super) fn start<F>(
        runtime: &Handle,
        capacity: usize,
        write_all: impl FnOnce(mpsc::Receiver<T>) -> F,
    ) -> Self
    where
        F: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        let (queue, receiver) = mpsc::channel(capacity);
        Self {
            queue,
            task: runtime.spawn(write_all(receiver)),
        }
    }

    /// Puts `output` into the queue; blocks while the queue is full.
    pub(super) fn put(&self, output: T) -> Result<(), SinkClosed> {
        self.queue.blocking_send(output).map_err(|_| SinkClosed)
    }

    /// Waits until everything is written.
    pub(super) async fn close(self) -> Result<(), JobError> {
        drop(self.queue);
        let written = self.task.await;
        written.unwrap_or_else(|error| Err(JobError::Panic(error.to_string())))
    }
}
