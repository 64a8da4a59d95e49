//! TLS handshakes beside the accepting of connections: bounded in number and in time. What is shown and asked for is
//! [`Credentials`]' to know.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use metrics::Counter;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::accept::connection::Connection;
use crate::credentials::Credentials;

/// A client that needs longer is no client.
const TIME: Duration = Duration::from_secs(10);
/// Handshakes at one time; one more connection is closed at once.
const AT_ONCE: usize = 256;

/// The handshakes that are under way. Dropping it ends them.
pub(crate) struct Handshakes {
    credentials: Credentials,
    failed: Counter,
    tasks: JoinSet<Option<Connection>>,
}

impl Handshakes {
    /// Of a port with a certificate; `failed` counts those that come to nothing.
    pub(crate) fn new(credentials: Credentials, failed: Counter) -> Self {
        Self {
            credentials,
            failed,
            tasks: JoinSet::new(),
        }
    }

    /// Begins one, with the certificate that is in use now.
    pub(crate) fn begin(&mut self, connection: Connection) {
        let acceptor = self.credentials.acceptor();
        let Some(acceptor) = acceptor.filter(|_| self.tasks.len() < AT_ONCE) else {
            tracing::debug!("a connection over the limit of handshakes was closed");
            self.failed.increment(1);
            return;
        };
        self.tasks.spawn(async move {
            match timeout(TIME, connection.secure(&acceptor)).await {
                Ok(Ok(connection)) => Some(connection),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a TLS handshake failed");
                    None
                }
                Err(_) => {
                    tracing::debug!("a TLS handshake took too long");
                    None
                }
            }
        });
    }

    /// The next connection that is through. Pending while none is; then [`Self::begin`] must be followed by another poll.
    pub(crate) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<Connection> {
        loop {
            match ready!(self.tasks.poll_join_next(cx)) {
                Some(Ok(Some(connection))) => return Poll::Ready(connection),
                // A panic was logged when it happened.
                Some(Ok(None) | Err(_)) => self.failed.increment(1),
                None => return Poll::Pending,
            }
        }
    }
}
