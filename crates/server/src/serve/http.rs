//! HTTP/2 and HTTP/1.1 over one connection, by hyper's own server.
//!
//! tonic's server is not used: it takes no executor, so requests could not run inline (see
//! [`super::inline_executor`]).

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::util::MapRequest;
use tower_http::propagate_header::PropagateHeader;

use super::inline_executor::{InlineExecutor, InlineHandle};
use super::protocol::ProtocolMux;
use crate::accept::Connection;
use crate::config::ServerConfig;
use crate::middleware::REQUEST_ID;

/// Longest request id that is echoed and logged, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// The services of the port; responses carry the ids of their requests.
type EchoesRequestId =
    MapRequest<PropagateHeader<ProtocolMux>, fn(Request<Incoming>) -> Request<Incoming>>;

/// Settings of the HTTP connections.
pub(crate) struct HttpServer {
    service: EchoesRequestId,
    max_streams_per_connection: u32,
    keepalive_interval: Duration,
    keepalive_timeout: Duration,
    max_connection_age: Option<Duration>,
    shutdown: CancellationToken,
}

impl HttpServer {
    /// Connections end gracefully when `shutdown` is cancelled.
    pub(crate) fn new(
        mux: ProtocolMux,
        config: &ServerConfig,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            service: MapRequest::new(PropagateHeader::new(mux, REQUEST_ID), drop_long_request_id),
            max_streams_per_connection: config.max_streams_per_connection,
            keepalive_interval: config.keepalive_interval,
            keepalive_timeout: config.keepalive_timeout,
            max_connection_age: config.max_connection_age,
            shutdown,
        }
    }

    /// Serves a connection until the client closes it. At its maximum age, and at the shutdown, it
    /// takes no further requests and ends with the last response.
    pub(crate) async fn serve(&self, connection: Connection) {
        let mut executor = InlineExecutor::default();
        let http = self.builder(executor.handle());
        let service = TowerToHyperService::new(self.service.clone());
        let mut serving = pin!(http.serve_connection(TokioIo::new(connection), service));
        let ended = tokio::select! {
            // Requests first, the timers after them.
            biased;
            ended = executor.drive(serving.as_mut()) => ended,
            () = self.retirement() => {
                serving.as_mut().graceful_shutdown();
                executor.drive(serving.as_mut()).await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection failed");
        }
    }

    fn builder(&self, executor: InlineHandle) -> Builder<InlineHandle> {
        let mut http = Builder::new(executor);
        // Without a timer hyper does not limit how long a client may take to send the headers.
        http.http1().timer(TokioTimer::new());
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.max_streams_per_connection)
            .keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout);
        http
    }

    /// Waits for the maximum age of a connection or the shutdown of the server.
    async fn retirement(&self) {
        let max_age = async {
            match self.max_connection_age {
                Some(age) => sleep(age).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = max_age => {}
        }
    }
}

fn drop_long_request_id(mut request: Request<Incoming>) -> Request<Incoming> {
    let id = request.headers().get(REQUEST_ID);
    if id.is_some_and(|id| id.len() > MAX_REQUEST_ID) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}
