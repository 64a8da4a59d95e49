//! Accepts TCP connections, a bounded number at a time, and runs each on a task of its own. Does
//! not know which protocol is spoken over them.

use std::future::Future;
use std::io;
use std::iter;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::handshake::TlsHandshakes;

/// Pause after an error such as "too many open files", which would repeat at once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A connection that was opened just before the port closed has this long for its first request: to
/// its client it is the way around the connection that was closed before.
const FIRST_REQUEST: Duration = Duration::from_millis(250);

/// Connections that are accepted at most when the port closes.
const MAX_WAITING: usize = 1024;

/// An accepted connection: plain text, or TLS after its handshake.
pub(crate) type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A connection that is to be served.
pub(crate) struct Accepted {
    pub(crate) connection: Connection,
    /// Address of the client.
    pub(crate) peer: SocketAddr,
    /// When it must take no further requests because the port closes.
    pub(crate) closing: Closing,
}

/// When a connection must take no further requests because the port closes.
pub(crate) struct Closing {
    opened: Instant,
    port: CancellationToken,
}

impl Closing {
    /// Waits until the port closes and the connection has had time for its first request.
    pub(crate) async fn reached(&self) {
        self.port.cancelled().await;
        sleep_until(self.opened + FIRST_REQUEST).await;
    }
}

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

    /// Accepts connections until `closing` is cancelled. Each is served by `serve` on a task in
    /// `connections`.
    pub(crate) async fn run<F: Future<Output = ()> + Send + 'static>(
        &self,
        connections: &mut JoinSet<()>,
        closing: &CancellationToken,
        serve: impl Fn(Accepted) -> F + Clone + Send + Sync + 'static,
    ) {
        // Kept over the turns of the loop: a connection that ends must not cut a backoff short.
        let mut accepting = pin!(self.accept());
        loop {
            let (stream, peer) = tokio::select! {
                // Ended connections first, so that they do not count towards the limit.
                biased;
                () = closing.cancelled() => return,
                Some(_) = connections.join_next() => continue,
                accepted = &mut accepting => accepted,
            };
            accepting.set(self.accept());
            self.start(connections, (stream, peer), closing, serve.clone());
        }
    }

    /// Serves the connections that wait to be accepted, which would otherwise be reset, and closes
    /// the port. `closing` is cancelled already.
    pub(crate) fn close<F: Future<Output = ()> + Send + 'static>(
        self,
        connections: &mut JoinSet<()>,
        closing: &CancellationToken,
        serve: impl Fn(Accepted) -> F + Clone + Send + Sync + 'static,
    ) {
        // The socket itself is asked: the runtime may not have seen the newest ones yet.
        let Ok(socket) = self.listener.as_fd().try_clone_to_owned() else {
            return;
        };
        let waiting = std::net::TcpListener::from(socket);
        let accepted = iter::repeat_with(|| waiting.accept())
            .take(MAX_WAITING)
            .take_while(|it| it.as_ref().err().is_none_or(is_of_one_connection))
            .flatten();
        for (stream, peer) in accepted {
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.start(connections, (stream, peer), closing, serve.clone());
            }
        }
    }

    fn start<F: Future<Output = ()> + Send + 'static>(
        &self,
        connections: &mut JoinSet<()>,
        (stream, peer): (TcpStream, SocketAddr),
        closing: &CancellationToken,
        serve: impl Fn(Accepted) -> F + Send + Sync + 'static,
    ) {
        if connections.len() >= self.max_connections {
            // Closed here, so that the client fails now instead of waiting.
            tracing::debug!(
                limit = self.max_connections,
                "connection closed: too many connections"
            );
            return;
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let tls = self.tls.clone();
        let closing = Closing {
            opened: Instant::now(),
            port: closing.clone(),
        };
        connections.spawn(async move {
            let connection = match tls {
                None => Either::Left(stream),
                Some(tls) => {
                    let secured = tokio::select! {
                        secured = tls.perform(stream) => secured,
                        // A client that is silent must not delay the shutdown.
                        () = closing.reached() => None,
                    };
                    let Some(secured) = secured else { return };
                    Either::Right(Box::new(secured))
                }
            };
            serve(Accepted {
                connection,
                peer,
                closing,
            })
            .await;
        });
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
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
