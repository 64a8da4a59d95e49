//! Runs what blocks a thread and waits there for the storage.

use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};

/// Far fewer than the runtime has threads for calls that block: each of these waits for reads of
/// files, which need such a thread too. With all threads waiting, none would go on.
const MAX_WAITING: usize = 16;

static TURNS: Semaphore = Semaphore::const_new(MAX_WAITING);

/// Runs `work`, which may wait for the storage, on a thread on which no task runs.
///
/// Not cancel-safe: when dropped, the work may be done or not.
///
/// # Errors
/// When the work panics.
pub async fn on_storage<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let turn = TURNS.acquire().await;
    spawn_blocking(move || {
        // Held until the work ends, even if the caller is gone.
        let _turn = turn;
        work()
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Duration};
    use tokio::runtime::{Builder, Handle};

    /// Each call waits for another one that needs a thread too, as reads of files do.
    #[test]
    fn calls_that_wait_leave_threads_to_those_they_wait_for() {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(MAX_WAITING + 1)
            .build()
            .expect("a runtime");
        let (done, all_done) = mpsc::channel();
        for _ in 0..10 * MAX_WAITING {
            let done = done.clone();
            runtime.spawn(async move {
                let inner = || Handle::current().block_on(spawn_blocking(|| 7));
                let seven = on_storage(inner)
                    .await
                    .expect("no panic")
                    .expect("no panic");
                done.send(seven).expect("awaited");
            });
        }
        for _ in 0..10 * MAX_WAITING {
            let seven = all_done.recv_timeout(Duration::from_secs(60));
            assert_eq!(seven, Ok(7));
        }
    }
}
