//! The connections of the admin port: a bounded number, each of which ends when it gets no response
//! for a while, and so when its client is silent, sends half a request, or does not read.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::secured::Secured;

/// Returns the TLS configuration for a connection that begins now; `None` is plain text.
pub type CurrentTls = Arc<dyn Fn() -> Option<TlsAcceptor> + Send + Sync>;

/// Pause after an error such as "too many open files", which would repeat at once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Limits of the connections of the admin port.
#[derive(Clone, Copy, Debug)]
pub struct AdminLimits {
    /// Connections at one time; one more takes the place of the one whose last response is the
    /// oldest.
    pub max_connections: usize,
    /// Time from one response to the next, after which a connection is closed.
    pub idle: Duration,
}

impl Default for AdminLimits {
    /// 64 connections, and 30 s: two intervals of a scrape.
    fn default() -> Self {
        Self {
            max_connections: 64,
            idle: Duration::from_secs(30),
        }
    }
}

/// Accepts connections within the limits.
pub(super) struct LimitedListener {
    listener: TcpListener,
    limits: AdminLimits,
    tls: CurrentTls,
    open: Arc<Open>,
}

/// The open connections, the one whose last response is the oldest first, each with a number that
/// never repeats.
#[derive(Default)]
struct Open {
    next: AtomicU64,
    connections: Mutex<VecDeque<(u64, CancellationToken)>>,
}

/// A connection within the limits.
pub(super) struct Limited {
    stream: Secured,
    number: u64,
    open: Arc<Open>,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    displaced: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl LimitedListener {
    pub(super) fn new(listener: TcpListener, limits: AdminLimits, tls: CurrentTls) -> Self {
        Self {
            listener,
            limits,
            tls,
            open: Arc::default(),
        }
    }
}

impl Listener for LimitedListener {
    type Io = Limited;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Limited, SocketAddr) {
        let (stream, peer) = loop {
            match self.listener.accept().await {
                Ok(accepted) => break accepted,
                Err(error) => {
                    tracing::debug!(%error, "accepting a connection of the admin port failed");
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let (number, displaced) = self.open.add(self.limits.max_connections);
        let limited = Limited {
            stream: Secured::new(stream, (self.tls)().as_ref()),
            number,
            open: Arc::clone(&self.open),
            idle: self.limits.idle,
            timer: Box::pin(sleep(self.limits.idle)),
            displaced: Box::pin(displaced.cancelled_owned()),
        };
        (limited, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Open {
    /// Adds a connection; asks others to end while there are more than `max`.
    fn add(&self, max: usize) -> (u64, CancellationToken) {
        let mut open = self.lock();
        while open.len() >= max.max(1)
            && let Some((_, oldest)) = open.pop_front()
        {
            oldest.cancel();
            tracing::debug!("connection of the admin port closed: a new one needs its place");
        }
        let number = self.next.fetch_add(1, Relaxed);
        let displaced = CancellationToken::new();
        open.push_back((number, displaced.clone()));
        (number, displaced)
    }

    /// Puts a connection behind the others.
    fn used(&self, number: u64) {
        let mut open = self.lock();
        if let Some(at) = open.iter().position(|it| it.0 == number)
            && let Some(entry) = open.remove(at)
        {
            open.push_back(entry);
        }
    }

    fn remove(&self, number: u64) {
        self.lock().retain(|it| it.0 != number);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, CancellationToken)>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limited {
    /// Ready with an error when the connection must end.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.displaced.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::ErrorKind::ConnectionAborted.into());
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    fn responded(&mut self) {
        self.open.used(self.number);
        let until = Instant::now() + self.idle;
        self.timer.as_mut().reset(until);
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        self.open.remove(self.number);
    }
}

impl AsyncRead for Limited {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_end(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Limited {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(error) = self.poll_end(cx) {
            return Poll::Ready(Err(error));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        if matches!(written, Ok(1..)) {
            self.responded();
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
