//! Accepts TCP connections, a bounded number at a time, and runs each on a task of its own. Does
//! not know which protocol is spoken over them.

use std::fs::File;
use std::future::Future;
use std::io;
use std::iter;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use digits_telemetry::readiness::Readiness;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::closing::Closing;
use super::handshake::TlsHandshakes;
use super::metrics::Refusal;
use super::registry::{Admitted, Registry};

/// Pause after an error such as "too many open files", which would repeat at once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Interval at which the metrics of open connections are renewed.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Connections that are accepted at most when the port closes.
const MAX_WAITING: usize = 1024;

/// Bytes that wait in the kernel of what a connection has not sent yet. Without a limit they would
/// be megabytes for each client that does not read, and a slow one would seem to read nothing: the
/// kernel reports progress only when a third of them is gone.
const MAX_UNSENT_BYTES: u32 = 128 << 10;

/// An accepted connection: plain text, or TLS after its handshake.
pub(crate) type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A connection that is to be served.
pub(crate) struct Accepted {
    pub(crate) connection: Connection,
    /// Its place, and what its requests share.
    pub(crate) admitted: Admitted,
    /// When it must take no further requests because the port closes.
    pub(crate) closing: Closing,
}

/// The listening socket of a server.
pub(crate) struct Listener {
    listener: TcpListener,
    registry: Arc<Registry>,
    /// Shows what is full.
    readiness: Readiness,
    tls: Option<Arc<TlsHandshakes>>,
    spare: Mutex<Option<File>>,
}

impl Listener {
    /// With `tls`, connections speak TLS only.
    pub(crate) fn new(
        listener: TcpListener,
        registry: Registry,
        readiness: Readiness,
        tls: Option<TlsHandshakes>,
    ) -> Self {
        Self {
            listener,
            registry: Arc::new(registry),
            readiness,
            tls: tls.map(Arc::new),
            spare: Mutex::new(spare_descriptor()),
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
        let mut reports = interval(REPORT_INTERVAL);
        loop {
            let (stream, peer) = tokio::select! {
                // Ended connections first, so that they do not count towards the limit.
                biased;
                () = closing.cancelled() => return,
                Some(_) = connections.join_next() => continue,
                _ = reports.tick() => {
                    self.readiness.set_saturation(self.registry.report());
                    continue;
                }
                // Else a new one waits in the system's queue until a displaced one has ended, which
                // takes a moment.
                accepted = &mut accepting, if self.registry.can_make_room() => accepted,
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
        // A connection that is refused is closed here, so that its client fails now instead of
        // waiting.
        let Some(admitted) = self.registry.admit(peer) else {
            return;
        };
        prepare(&stream);
        let tls = self.tls.clone();
        let closing = Closing::new(closing.clone());
        connections.spawn(async move {
            let connection = match tls {
                None => Either::Left(stream),
                Some(tls) => {
                    let secured = tokio::select! {
                        secured = tls.perform(stream) => secured,
                        // A client that is silent must not delay the shutdown.
                        () = closing.reached() => None,
                        reason = admitted.must_close() => {
                            admitted.closed(reason);
                            None
                        }
                    };
                    let Some(secured) = secured else { return };
                    if let Some(certificate) = tls.certificate(&secured) {
                        admitted.context().identify(certificate);
                    }
                    Either::Right(Box::new(secured))
                }
            };
            serve(Accepted {
                connection,
                admitted,
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
                Err(error) if is_out_of_descriptors(&error) => {
                    self.refuse_waiting();
                    sleep(ACCEPT_BACKOFF).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting connections failed; trying again");
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    /// Closes the connections that wait to be accepted, by the one descriptor that is kept for it,
    /// so that their clients fail now instead of waiting.
    fn refuse_waiting(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..MAX_WAITING {
            *spare = None;
            // Never waits: the runtime has made the socket non-blocking.
            let accepted = SockRef::from(&self.listener).accept();
            let peer = accepted.map(|(_, address)| address.as_socket());
            *spare = spare_descriptor();
            match peer {
                Ok(peer) => self.registry.refused(Refusal::Descriptors, peer),
                Err(_) => return,
            }
        }
    }
}

/// Sets the options of a new connection's socket.
fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let set = socket.set_tcp_nodelay(true);
    if let Err(error) = set.and_then(|()| socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES)) {
        tracing::debug!(%error, "an option of a connection's socket could not be set");
    }
}

/// A descriptor that is given up to refuse a connection when there is no other.
fn spare_descriptor() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Whether this process, or the system, has no descriptor left.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
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
