//! The signals that end a service. What to do then is told by [`crate::health::withdraw`] and
//! [`crate::GrpcServer::serve`].

use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind};

/// Returns the name of the signal when SIGTERM or SIGINT comes. Until then the process no longer dies
/// of them.
pub async fn signal() -> &'static str {
    let (terminate, interrupt) = (
        listen(SignalKind::terminate()),
        listen(SignalKind::interrupt()),
    );
    tokio::select! {
        () = received(terminate) => "SIGTERM",
        () = received(interrupt) => "SIGINT",
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    tokio::signal::unix::signal(kind)
        .inspect_err(|error| tracing::error!(%error, "signals cannot be received"))
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
