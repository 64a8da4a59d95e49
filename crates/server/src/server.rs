//! Binds the port, serves the routes, and shuts down gracefully.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use digits_telemetry::listen::listen;
use digits_telemetry::liveness::Liveness;
use digits_telemetry::readiness::Readiness;
use digits_telemetry::supervisor::Supervisor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::accept::{Accepted, ConnectionMetrics, Listener, Registry, TlsHandshakes};
use crate::config::ServerConfig;
use crate::connect::{Api, Connect};
use crate::cors;
use crate::credentials::{CredentialMetrics, Credentials, supervise_reload};
use crate::error::ServerError;
use crate::middleware::{InstrumentedService, RequestMetrics, ServerState, instrumented};
use crate::serve::router::Routes;
use crate::serve::{BrowserRules, Browsers, HttpServer, ProtocolMux};

/// Outcome of serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request in flight was answered.
    Complete,
    /// Requests were still in flight at the end of [`ServerConfig::drain`] and were aborted.
    Aborted {
        /// Number of requests without a response, health checks not counted.
        requests: usize,
    },
}

/// The gRPC port, open but not answering yet: clients that connect wait.
pub struct GrpcServer {
    config: ServerConfig,
    listener: TcpListener,
    address: SocketAddr,
    pages: Option<axum::Router>,
    http: Option<MakeHttp>,
    api: Option<Api>,
    supervisor: Option<Supervisor>,
    readiness: Readiness,
}

/// Makes plain HTTP routes out of the services.
type MakeHttp = Box<dyn FnOnce(InstrumentedService) -> axum::Router + Send>;

impl GrpcServer {
    /// Opens the port and returns its address.
    ///
    /// # Errors
    /// [`ServerError::Bind`] when the port is taken, not permitted, or not an address of this
    /// machine.
    pub async fn bind(config: ServerConfig) -> Result<(Self, SocketAddr), ServerError> {
        let (listener, address) = listen(config.listen, "--listen").await?;
        let server = Self {
            config,
            listener,
            address,
            pages: None,
            http: None,
            api: None,
            supervisor: None,
            readiness: Readiness::new(),
        };
        Ok((server, address))
    }

    /// Supervises the server's own tasks by `supervisor`. Without it, their deaths are logged and
    /// counted but do not fail a liveness probe.
    #[must_use]
    pub fn with_supervisor(mut self, supervisor: Supervisor) -> Self {
        self.supervisor = Some(supervisor);
        self
    }

    /// Reports to `readiness` what of the server is full.
    #[must_use]
    pub fn with_readiness(mut self, readiness: Readiness) -> Self {
        self.readiness = readiness;
        self
    }

    /// Answers plain HTTP (neither gRPC nor gRPC-Web) with `pages`, besides those that were given
    /// before; without any, with 404.
    #[must_use]
    pub fn with_pages(mut self, pages: axum::Router) -> Self {
        self.pages = Some(match self.pages {
            Some(others) => others.merge(pages),
            None => pages,
        });
        self
    }

    /// Answers further plain HTTP with the routes that `make` builds over the services. A generated
    /// client over these services calls them in this process, behind the same limits and metrics as
    /// gRPC clients. The routes must differ from those of [`Self::with_pages`], and only one of the
    /// two routers may have a fallback. A response that is made without calling a service carries
    /// an [`EarlyRejection`](crate::EarlyRejection).
    #[must_use]
    pub fn with_http(
        mut self,
        make: impl FnOnce(InstrumentedService) -> axum::Router + Send + 'static,
    ) -> Self {
        self.http = Some(Box::new(make));
        self
    }

    /// Answers the Connect protocol for the methods of `api`, and serves its description at
    /// `/openapi.json` and `/api`.
    #[must_use]
    pub fn with_connect(mut self, api: Api) -> Self {
        let description = api.pages();
        self.api = Some(api);
        self.with_pages(description)
    }

    /// Serves until `shutdown`. Then asks clients to reconnect, closes the port after
    /// [`ServerConfig::linger`], lets requests in flight finish for at most
    /// [`ServerConfig::drain`], and aborts the rest. Health and reflection streams end with
    /// UNAVAILABLE at once; long streams of a service should watch the same token, or the drain
    /// takes its full time. Dropping the future aborts everything.
    pub async fn serve(
        self,
        routes: Routes,
        metrics: RequestMetrics,
        shutdown: CancellationToken,
    ) -> Drained {
        let config = self.config;
        warn_of_plain_text_tokens(&config.credentials, self.address);
        let credential_metrics = CredentialMetrics::new(metrics.prefix());
        let supervisor = self
            .supervisor
            .unwrap_or_else(|| Supervisor::new(metrics.prefix(), Liveness::default()));
        let stop_reload = CancellationToken::new();
        let _stop_when_dropped = stop_reload.clone().drop_guard();
        supervise_reload(&config, &credential_metrics, &supervisor, stop_reload);

        let connection_metrics = ConnectionMetrics::new(metrics.prefix());
        let state = Arc::new(ServerState::new(&config, metrics, shutdown.clone()));
        let limits = Arc::clone(&state.limits);
        let (max, stop) = (config.max_connections, shutdown.clone());
        let registry = Registry::new(max, Arc::clone(&limits), stop, connection_metrics);
        let service = InstrumentedService::new(routes, Arc::clone(&state));
        let http = self
            .http
            .map(|make| instrumented(make(service.clone()), &state));
        let http = match (self.pages, http) {
            (Some(pages), Some(http)) => Some(pages.merge(http)),
            (pages, http) => pages.or(http),
        };
        let is_loopback = self.address.ip().to_canonical().is_loopback();
        let rules = BrowserRules {
            hosts: is_loopback.then(|| config.allowed_hosts.clone()),
            cors: cors::layer(&config.cors_origins),
        };
        let connect = self
            .api
            .map(|api| Connect::new(api, &service, config.max_message_bytes));
        let browsers = Browsers::new(&service, connect, http);
        let mux = ProtocolMux::new(service, browsers, rules, limits, config.slow_clients);
        let http_server = Arc::new(HttpServer::new(mux, &config));

        let failed = credential_metrics.handshakes_failed;
        let tls = config
            .credentials
            .has_tls()
            .then(|| TlsHandshakes::new(config.credentials.clone(), failed));
        let serve = move |accepted| {
            let http_server = Arc::clone(&http_server);
            async move { http_server.serve(accepted).await }
        };
        let mut connections = JoinSet::new();
        let listener = Listener::new(self.listener, registry, self.readiness, tls);
        listener
            .run(&mut connections, &shutdown, serve.clone())
            .await;
        let linger = config.linger.min(config.drain);
        linger_then_close(listener, &mut connections, linger, serve).await;
        drain(connections, config.drain - linger, &state).await
    }
}

/// Accepts further connections for `linger`, from clients that were asked to reconnect and do not
/// know another server yet. Then closes the port.
async fn linger_then_close<F: Future<Output = ()> + Send + 'static>(
    listener: Listener,
    connections: &mut JoinSet<()>,
    linger: Duration,
    serve: impl Fn(Accepted) -> F + Clone + Send + Sync + 'static,
) {
    let closing = CancellationToken::new();
    if !connections.is_empty() {
        let lingering = listener.run(connections, &closing, serve.clone());
        // It does not end by itself.
        let _ = timeout(linger, lingering).await;
    }
    closing.cancel();
    listener.close(connections, &closing, serve);
}

/// Waits for the connections to end, and aborts those that take longer than `limit`.
async fn drain(mut connections: JoinSet<()>, limit: Duration, state: &ServerState) -> Drained {
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limit, ended).await.is_ok() {
        return Drained::Complete;
    }
    let requests = state.in_flight();
    tracing::warn!(
        requests,
        ?limit,
        "requests did not finish within the drain time and are aborted"
    );
    connections.shutdown().await;
    Drained::Aborted { requests }
}

fn warn_of_plain_text_tokens(credentials: &Credentials, address: SocketAddr) {
    let is_loopback = address.ip().to_canonical().is_loopback();
    if credentials.takes_tokens() && !credentials.has_tls() && !is_loopback {
        tracing::warn!(
            %address,
            "tokens arrive in plain text: terminate TLS in a proxy before this port, or set --tls-certificate-file"
        );
    }
}
