//! Measures what it costs to hand work to another thread and to get the result back.

use std::{
    io,
    sync::mpsc::sync_channel,
    thread,
    time::{Duration, Instant},
};

/// Round trips that are timed; odd, so that one is in the middle.
const ROUNDS: usize = 65;

/// Median of some round trips between two threads that sleep while they wait.
///
/// # Errors
///
/// When the thread cannot be started.
pub fn measure() -> io::Result<Duration> {
    let (request, requests) = sync_channel::<()>(1);
    let (response, responses) = sync_channel::<()>(1);
    let echo = thread::Builder::new()
        .name("handoff".to_owned())
        .spawn(move || {
            for () in requests {
                if response.send(()).is_err() {
                    return;
                }
            }
        })?;
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            if request.send(()).is_ok() {
                // The echo ends only after this loop.
                let _ = responses.recv();
            }
            start.elapsed()
        })
        .collect();
    drop(request);
    // It ends with the channel.
    let _ = echo.join();
    rounds.sort_unstable();
    Ok(rounds[ROUNDS / 2])
}
