//! Supervises operating-system threads. A thread that returns has ended normally: threads end when
//! their channel is closed.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{RepeatedDeaths, Supervisor, Task, text};

/// Interval at which a thread that waits for its restart checks whether the service is stopping.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(50);

impl Supervisor {
    /// Runs `body` on a thread of its own and restarts it with backoff when it panics. Repeated
    /// deaths are tolerated ([`RepeatedDeaths::Tolerate`]).
    ///
    /// While `stopping` is true there is no pause, and no restart after a further panic.
    ///
    /// # Errors
    /// When the operating system cannot create a thread.
    pub fn restart_thread(
        &self,
        task: Task,
        stopping: impl Fn() -> bool + Send + 'static,
        mut body: impl FnMut() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let name = thread_name(&task);
        let mut record = self.record(task);
        thread::Builder::new().name(name).spawn(move || {
            loop {
                let begun = Instant::now();
                let Err(panic) = catch_unwind(AssertUnwindSafe(&mut body)) else {
                    return;
                };
                let (cause, lived) = (text(&*panic), begun.elapsed());
                if stopping() {
                    record.died_in_shutdown(&cause);
                    return;
                }
                let pause = record.died(&cause, lived, RepeatedDeaths::Tolerate);
                let died = Instant::now();
                while died.elapsed() < pause && !stopping() {
                    thread::sleep(STOP_CHECK_INTERVAL.min(pause));
                }
            }
        })
    }

    /// Runs `body` on a thread of its own; a panic fails liveness and readiness at once. For
    /// threads that own state that cannot be recreated.
    ///
    /// # Errors
    /// When the operating system cannot create a thread.
    pub fn watch_thread(
        &self,
        task: Task,
        body: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let name = thread_name(&task);
        let record = self.record(task);
        thread::Builder::new().name(name).spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
                record.died_for_good(&text(&*panic));
            }
        })
    }
}

fn thread_name(task: &Task) -> String {
    let name = task.name.replace('_', "-");
    match &*task.instance {
        "" => name,
        instance => format!("{name}-{instance}"),
    }
}
