//! A thread for the work of a load, which yields the processor to requests.

use std::{
    io, thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Added to the thread's nice value: a quarter of a contended processor, all of an idle one.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// Work between two yields. Linux lets a thread run on for milliseconds whatever its priority is;
/// responses take tenths of one.
const MAX_STRETCH: Duration = Duration::from_micros(100);

/// Whether the work yields to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// It runs like any thread: nothing is served that it could delay.
    Normal,
    /// It yields to all other threads of the process.
    Low,
}

/// Runs `work` on a thread of its own; `None` if it panicked. A thread cannot raise its priority
/// again, so none is reused.
///
/// # Errors
///
/// When the thread cannot be started.
pub async fn run<T: Send + 'static>(
    priority: Priority,
    work: impl FnOnce(&mut Yielder) -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let (result, receiver) = oneshot::channel();
    thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || {
            if priority == Priority::Low {
                lower_priority();
            }
            let mut yielder = Yielder {
                priority,
                since: Instant::now(),
            };
            // The receiver is gone when the service shuts down.
            let _ = result.send(work(&mut yielder));
        })?;
    Ok(receiver.await.ok())
}

fn lower_priority() {
    // Linux has a nice value for each thread; other systems have one for the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "cannot lower the priority of a load; it competes with requests");
    }
}

/// Yields the processor between pieces of work.
pub struct Yielder {
    priority: Priority,
    since: Instant,
}

impl Yielder {
    /// To be called between two pieces of work; yields now and then.
    pub fn step(&mut self) {
        if self.priority == Priority::Low && self.since.elapsed() > MAX_STRETCH {
            thread::yield_now();
            self.since = Instant::now();
        }
    }
}
