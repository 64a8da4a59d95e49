//! HTTP/1.1 and HTTP/2 over accepted connections, each on a task of its own. What is answered is the front's to know.
//!
//! hyper's own server and nothing around it: tonic's would box the service, its future and its body anew for each request, note where it
//! came from, and start a clock for it.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::accept::connection::{Connection, Incoming};
use crate::config::ServerConfig;
use crate::serve::inline_executor::{InlineExecutor, InlineHandle};
use crate::serve::protocol::ProtocolMux;

/// How connections are served.
pub(crate) struct HttpServer {
    max_streams_per_connection: u32,
    keepalive_interval: Duration,
    keepalive_timeout: Duration,
    max_connection_age: Option<Duration>,
    shutdown: CancellationToken,
}

impl HttpServer {
    /// Asks connections to end at `shutdown`.
    pub(crate) fn new(config: &ServerConfig, shutdown: CancellationToken) -> Self {
        Self {
            max_streams_per_connection: config.max_streams_per_connection,
            keepalive_interval: config.keepalive_interval,
            keepalive_timeout: config.keepalive_timeout,
            max_connection_age: config.max_connection_age,
            shutdown,
        }
    }

    /// Serves what comes in. At the shutdown it closes the port, and ends with the last connection. Dropping the future drops
    /// them all.
    pub(crate) async fn serve(self, front: ProtocolMux, incoming: Incoming) {
        let http_server = Arc::new(self);
        let mut connections = JoinSet::new();
        http_server.accept(&front, incoming, &mut connections).await;
        while connections.join_next().await.is_some() {}
    }

    async fn accept(
        self: &Arc<Self>,
        front: &ProtocolMux,
        incoming: Incoming,
        connections: &mut JoinSet<()>,
    ) {
        let mut incoming = pin!(incoming);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                Some(_) = connections.join_next() => {}
                accepted = incoming.next() => match accepted {
                    Some(Ok(connection)) => {
                        let (http_server, front) = (Arc::clone(self), front.clone());
                        connections.spawn(async move { http_server.carry(front, connection).await });
                    }
                    Some(Err(error)) => tracing::debug!(%error, "a connection was not accepted"),
                    None => return,
                },
            }
        }
    }

    fn http(&self, executor: InlineHandle) -> Builder<InlineHandle> {
        let mut http = Builder::new(executor);
        // Without a timer hyper does not limit the time that headers may take.
        http.http1().timer(TokioTimer::new());
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.max_streams_per_connection)
            .keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout);
        http
    }

    async fn carry(&self, front: ProtocolMux, connection: Connection) {
        let mut executor = InlineExecutor::default();
        let http = self.http(executor.handle());
        let mut serving = pin!(http.serve_connection(TokioIo::new(connection), front));
        let ended = tokio::select! {
            // First what there is to do at every turn.
            biased;
            ended = executor.drive(serving.as_mut()) => ended,
            () = self.retirement() => {
                serving.as_mut().graceful_shutdown();
                executor.drive(serving.as_mut()).await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection failed");
        }
    }

    /// Until a connection is old or the server leaves.
    async fn retirement(&self) {
        let old = async {
            match self.max_connection_age {
                Some(age) => sleep(age).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = old => {}
        }
    }
}
