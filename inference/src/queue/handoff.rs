//! What it costs to hand work to another thread and the answer back, on this machine.

use std::{
    io,
    sync::mpsc::sync_channel,
    thread,
    time::{Duration, Instant},
};

/// Round trips that are timed; odd, so that there is one in the middle.
const ROUNDS: usize = 65;

/// Median of some round trips between two threads that both sleep while they wait.
pub(super) fn measure() -> io::Result<Duration> {
    let (ask, asked) = sync_channel::<()>(1);
    let (tell, told) = sync_channel::<()>(1);
    let echo = thread::Builder::new()
        .name("handoff".to_owned())
        .spawn(move || {
            for () in asked {
                if tell.send(()).is_err() {
                    return;
                }
            }
        })?;
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            if ask.send(()).is_ok() {
                // An echo that went away would have been free.
                let _ = told.recv();
            }
            start.elapsed()
        })
        .collect();
    drop(ask);
    // It ends with the channel.
    let _ = echo.join();
    rounds.sort_unstable();
    Ok(rounds[ROUNDS / 2])
}
