//! Accepts TCP connections, a bounded number at a time, and runs each on a task of its own. Does
//! not know which protocol is spoken over them.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::handshake::TlsHandshakes;

/// Pause after an error such as "too many open files", which would repeat at once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// An accepted connection: plain text, or TLS after its handshake.
pub(crate) type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The listening socket of a server.
pub(crate) struct Listener {
    listener: TcpListener,
    max_connections: usize,
    tls: Option<Arc<TlsHandshakes>>,
}

impl Listener {
    /// With `tls`, connections speak TLS only.
    pub(crate) fn new(
        listener: TcpListener,
        max_connections: usize,
        tls: Option<TlsHandshakes>,
    ) -> Self {
        Self {
            listener,
            max_connections,
            tls: tls.map(Arc::new),
        }
    }

    /// Accepts connections until `shutdown`, then closes the port. Each is served by `serve` on a
    /// task in `connections`.
    pub(crate) async fn run<F: Future<Output = ()> + Send + 'static>(
        self,
        connections: &mut JoinSet<()>,
        shutdown: &CancellationToken,
        serve: impl Fn(Connection) -> F + Clone + Send + Sync + 'static,
    ) {
        // Kept over the turns of the loop: a connection that ends must not cut a backoff short.
        let mut accepting = pin!(self.accept());
        loop {
            let stream = tokio::select! {
                // Ended connections first, so that they do not count towards the limit.
                biased;
                () = shutdown.cancelled() => return,
                Some(_) = connections.join_next() => continue,
                stream = &mut accepting => stream,
            };
            accepting.set(self.accept());
            if connections.len() >= self.max_connections {
                // Closed here, so that the client fails now instead of waiting.
                tracing::debug!(
                    limit = self.max_connections,
                    "connection closed: too many connections"
                );
                continue;
            }
            let (tls, shutdown, serve) = (self.tls.clone(), shutdown.clone(), serve.clone());
            connections.spawn(async move {
                let connection = match tls {
                    None => Some(Either::Left(stream)),
                    // A client that is silent must not delay the shutdown.
                    Some(tls) => match shutdown.run_until_cancelled(tls.perform(stream)).await {
                        Some(Some(stream)) => Some(Either::Right(Box::new(stream))),
                        _ => None,
                    },
                };
                if let Some(connection) = connection {
                    serve(connection).await;
                }
            });
        }
    }

    async fn accept(&self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY could not be set");
                    }
                    return stream;
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "accepting connections failed; trying again");
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }
}

/// Whether the error concerns a single connection, so that the next one may be accepted at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
