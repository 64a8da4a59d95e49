//! A thread for the work of a load, which gives way to requests.

use std::{
    io, thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Added to the thread's nice value: a quarter of a processor that requests want as well, all of one that they do not.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// How long it works on before others are asked whether they want the processor. A system lets a thread go on for milliseconds,
/// whatever its priority is; answers take tenths of one.
const STRETCH: Duration = Duration::from_micros(100);

/// Runs `work` on a thread of its own, which gives way to all others of the process when it is to run `beside` them. `None` when it
/// panicked. A thread cannot take its priority back, so no pool has it.
///
/// # Errors
///
/// When there can be no further thread.
pub(super) async fn run<T: Send + 'static>(
    beside: bool,
    work: impl FnOnce(&mut Yielder) -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let (answer, answered) = oneshot::channel();
    thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || {
            if beside {
                lower_priority();
            }
            let mut yielder = Yielder {
                beside,
                since: Instant::now(),
            };
            // Whoever asked may be gone: the service is shutting down.
            let _ = answer.send(work(&mut yielder));
        })?;
    Ok(answered.await.ok())
}

fn lower_priority() {
    // Linux has a nice value for each thread; other systems one for the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "a load has the priority of requests");
    }
}

/// The yielder of work beside requests.
pub(super) struct Yielder {
    beside: bool,
    since: Instant,
}

impl Yielder {
    /// To be called between two pieces of work: lets others go on, now and then.
    pub(super) fn step(&mut self) {
        if self.beside && self.since.elapsed() > STRETCH {
            thread::yield_now();
            self.since = Instant::now();
        }
    }
}
