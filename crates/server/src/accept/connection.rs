//! Accepts TCP connections, at most so many at a time, each of which can be cut from outside; in plain text or through TLS. What
//! is spoken over them is not known here.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::accept::handshake::Handshakes;

/// Rest after an error such as "too many open files", which would come back at once.
const PAUSE: Duration = Duration::from_millis(100);

/// How long, and how many bytes, a client that was not accepted is listened to until it has gone.
const LEAVE: Duration = Duration::from_secs(1);
const LEAVE_BYTES: u64 = 64 << 10;

/// The stream of accepted connections. Dropping it closes the port.
pub(crate) struct Incoming {
    listener: TcpListener,
    places: Arc<Semaphore>,
    cut: CancellationToken,
    pause: Option<Pin<Box<Sleep>>>,
    /// Where TLS is spoken.
    handshakes: Option<Handshakes>,
}

impl Incoming {
    /// At most `max_connections` at a time; cancelling `cut` ends them all. With `handshakes` they speak TLS.
    pub(crate) fn new(
        listener: TcpListener,
        max_connections: usize,
        cut: CancellationToken,
        handshakes: Option<Handshakes>,
    ) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS))),
            cut,
            pause: None,
            handshakes,
        }
    }

    fn admit(&self, stream: TcpStream) -> Option<Connection> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // Closed here, so that the client fails now instead of waiting.
            tracing::debug!("a connection over the limit was closed");
            return None;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        Some(Connection {
            stream: Wire::Plain(stream),
            // A token of its own, so that connections do not share one lock.
            cut: Box::pin(self.cut.child_token().cancelled_owned()),
            _place: place,
        })
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Connection> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, _)) => {
                    if let Some(connection) = self.admit(stream) {
                        return Poll::Ready(connection);
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "connections cannot be accepted for now");
                    self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
                }
            }
        }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.handshakes.is_none() {
            return this.poll_accept(cx).map(|connection| Some(Ok(connection)));
        }
        // tokio lets a task accept only so many before it gives way.
        while let Poll::Ready(connection) = this.poll_accept(cx) {
            if let Some(handshakes) = &mut this.handshakes {
                handshakes.begin(connection);
            }
        }
        match &mut this.handshakes {
            Some(handshakes) => handshakes.poll_done(cx).map(|it| Some(Ok(it))),
            None => Poll::Pending,
        }
    }
}

/// The handshake. Where it fails, the client is left the time to read why: closing a socket that has something unread throws away
/// what was sent.
async fn accept(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => Ok(stream),
        Err((error, mut stream)) => {
            let leave = async {
                stream.shutdown().await?;
                tokio::io::copy(&mut stream.take(LEAVE_BYTES), &mut tokio::io::sink()).await
            };
            if let Ok(Err(error)) = timeout(LEAVE, leave).await {
                tracing::trace!(%error, "a client left before it was told why");
            }
            Err(error)
        }
    }
}

/// Whether the next connection may well succeed.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// An accepted connection.
pub(crate) struct Connection {
    stream: Wire,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
}

/// How a connection's bytes travel.
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Carries out the handshake of a plain connection; fails too once it is cut.
    pub(crate) async fn secure(self, acceptor: &TlsAcceptor) -> io::Result<Self> {
        let Self {
            stream,
            mut cut,
            _place,
        } = self;
        let stream = match stream {
            Wire::Plain(stream) => tokio::select! {
                stream = accept(acceptor, stream) => Wire::Tls(Box::new(stream?)),
                () = &mut cut => return Err(io::ErrorKind::ConnectionAborted.into()),
            },
            secured @ Wire::Tls(_) => secured,
        };
        Ok(Self {
            stream,
            cut,
            _place,
        })
    }

    /// What to tell of a stream that must wait: that it fails, once the connection is cut. Wakes the reader or writer when that
    /// happens. Only those who wait ask, as every one soon does; the token has a lock.
    fn poll_cut<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.cut.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let answer = match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        match answer {
            Poll::Pending => self.poll_cut(cx),
            answer => answer,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let answer = match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        match answer {
            Poll::Pending => self.poll_cut(cx),
            answer => answer,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let answer = match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        match answer {
            Poll::Pending => self.poll_cut(cx),
            answer => answer,
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
