//! HTTP/2 and HTTP/1.1 over one connection, by hyper's own server.
//!
//! tonic's server is not used: it takes no executor, so requests could not run inline (see
//! [`super::inline_executor`]).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tower::util::MapRequest;
use tower_http::propagate_header::PropagateHeader;

use super::inline_executor::{InlineExecutor, InlineHandle};
use super::protocol::{ConnectionMux, ProtocolMux};
use super::supervision::{Event, Supervision};
use crate::accept::Accepted;
use crate::config::{ServerConfig, SlowClientLimits};
use crate::connection::{ConnectionContext, Metered, jittered};
use crate::middleware::REQUEST_ID;

/// Requests of one read that their client has reset already; one more ends the connection. Such
/// requests do not count as open streams. h2's own limit of 20 breaks off the other calls of a
/// client that cancels a few dozen together. [`ConnectionContext`] has the limit over time.
const MAX_RESET_REQUESTS: usize = 4096;

/// Longest request id that is echoed and logged, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// The services of the port; responses carry the ids of their requests.
type EchoesRequestId =
    MapRequest<PropagateHeader<ConnectionMux>, fn(Request<Incoming>) -> Request<Incoming>>;

/// Settings of the HTTP connections.
pub(crate) struct HttpServer {
    mux: ProtocolMux,
    max_streams_per_connection: u32,
    keepalive_interval: Duration,
    keepalive_timeout: Duration,
    max_connection_age: Option<Duration>,
    slow_clients: SlowClientLimits,
}

impl HttpServer {
    pub(crate) fn new(mux: ProtocolMux, config: &ServerConfig) -> Self {
        Self {
            mux,
            max_streams_per_connection: config.max_streams_per_connection,
            keepalive_interval: config.keepalive_interval,
            keepalive_timeout: config.keepalive_timeout,
            max_connection_age: config.max_connection_age,
            slow_clients: config.slow_clients,
        }
    }

    /// Serves a connection until the client closes it. At its maximum age, and when the port
    /// closes, it takes no further requests and ends with the last response.
    pub(crate) async fn serve(&self, accepted: Accepted) {
        let Accepted {
            connection,
            admitted,
            closing,
        } = accepted;
        let context = admitted.context();
        let mut executor = InlineExecutor::default();
        let http = self.builder(executor.handle());
        let service = TowerToHyperService::new(self.service(context));
        let stream = TokioIo::new(Metered::new(connection, Arc::clone(context)));
        let mut serving = pin!(http.serve_connection(stream, service));
        let max_age = self.max_connection_age;
        let max_age = max_age.map(|age| jittered(age, fastrand::f64()));
        let mut supervision =
            Supervision::new(Arc::clone(context), self.slow_clients, closing, max_age);
        loop {
            let event = tokio::select! {
                // Requests first, the timer after them.
                biased;
                ended = executor.drive(serving.as_mut()) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection failed");
                    }
                    return;
                }
                event = supervision.next() => event,
            };
            match event {
                Event::Retire => serving.as_mut().graceful_shutdown(),
                Event::Close(reason) => return admitted.closed(reason),
            }
        }
    }

    /// The services of the port, for the requests of one connection.
    fn service(&self, connection: &Arc<ConnectionContext>) -> EchoesRequestId {
        let mux = self.mux.on(connection);
        MapRequest::new(PropagateHeader::new(mux, REQUEST_ID), drop_long_request_id)
    }

    fn builder(&self, executor: InlineHandle) -> Builder<InlineHandle> {
        let mut http = Builder::new(executor);
        // Without a timer hyper does not limit how long a client may take to send the headers.
        http.http1().timer(TokioTimer::new());
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.max_streams_per_connection)
            .max_pending_accept_reset_streams(MAX_RESET_REQUESTS)
            .keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout);
        http
    }
}

fn drop_long_request_id(mut request: Request<Incoming>) -> Request<Incoming> {
    let id = request.headers().get(REQUEST_ID);
    if id.is_some_and(|id| id.len() > MAX_REQUEST_ID) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}
