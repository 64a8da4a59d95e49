//! The signals that end a service.

use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind};
use tokio_util::sync::CancellationToken;

/// A token that SIGTERM or SIGINT cancels; from now on neither ends the process by itself.
///
/// Call it on a runtime, and only once something watches the token: until then a signal must end a
/// start-up that hangs, such as on a storage that does not answer.
#[must_use]
pub fn shutdown_token() -> CancellationToken {
    let terminate = listen(SignalKind::terminate());
    let interrupt = listen(SignalKind::interrupt());
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let signal = tokio::select! {
            () = received(terminate) => "SIGTERM",
            () = received(interrupt) => "SIGINT",
        };
        // First: nothing that befalls the log may prevent it.
        cancelled.cancel();
        tracing::info!(signal, "shutting down");
    });
    token
}

fn listen(kind: SignalKind) -> Option<Signal> {
    tokio::signal::unix::signal(kind)
        .inspect_err(
            |error| tracing::error!(%error, "cannot receive a signal that ends the service"),
        )
        .ok()
}

async fn received(signal: Option<Signal>) {
    match signal {
        Some(mut signal) => {
            signal.recv().await;
        }
        None => pending().await,
    }
}
