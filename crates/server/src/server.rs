//! Binds the port, serves, and ends gracefully. The services come as routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use digits_telemetry::listen::listen;
use digits_telemetry::liveness::Liveness;
use digits_telemetry::supervisor::{RepeatedDeaths, Supervisor, Task};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::accept::connection::Incoming;
use crate::accept::handshake::Handshakes;
use crate::config::ServerConfig;
use crate::credentials::Credentials;
use crate::credentials::follow::follow;
use crate::credentials::metrics::CredentialMetrics;
use crate::error::ServerError;
use crate::middleware::access_log::RequestLogging;
use crate::middleware::authentication::guarded;
use crate::middleware::early_rejection::counted;
use crate::middleware::metrics::RequestMetrics;
use crate::middleware::service::{InstrumentedService, ServerState};
use crate::serve::http::HttpServer;
use crate::serve::protocol::ProtocolMux;
use crate::serve::router::Routes;

/// How long connections may take to notice that they were cut.
const CUT: Duration = Duration::from_secs(1);

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request in flight was answered.
    Complete,
    /// The time was over; so many requests were cut.
    Cut {
        /// Requests that got no answer, health checks aside.
        requests: usize,
    },
}

/// The gRPC port, open but not yet answering: clients that connect wait.
pub struct GrpcServer {
    config: ServerConfig,
    listener: TcpListener,
    address: SocketAddr,
    pages: Option<axum::Router>,
    http: Option<MakeHttp>,
    supervisor: Option<Supervisor>,
}

/// Plain HTTP that is made of the services.
type MakeHttp = Box<dyn FnOnce(InstrumentedService) -> axum::Router + Send>;

impl GrpcServer {
    /// Opens the port and returns it with the address that it got.
    ///
    /// # Errors
    /// [`ServerError::Bind`] when the port is taken, not permitted, or not this machine's.
    pub async fn bind(config: ServerConfig) -> Result<(Self, SocketAddr), ServerError> {
        let (listener, address) = listen(config.listen, "--listen").await?;
        let server = Self {
            config,
            listener,
            address,
            pages: None,
            http: None,
            supervisor: None,
        };
        Ok((server, address))
    }

    /// Supervises the server's own tasks by `supervisor`; without it their deaths fail nothing.
    #[must_use]
    pub fn with_supervisor(mut self, supervisor: Supervisor) -> Self {
        self.supervisor = Some(supervisor);
        self
    }

    /// Answers plain HTTP (what is neither gRPC nor gRPC-Web) with `pages`; without, it is 404.
    #[must_use]
    pub fn with_pages(mut self, pages: axum::Router) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Answers further plain HTTP by what `make` makes of the services: they come to it metered and limited, as they come to
    /// gRPC's clients, and a generated client can be made of them. Its routes must not be those of
    /// [`Self::with_pages`], nor have a fallback where those have one. What it refuses by itself it marks as
    /// [`EarlyRejection`](crate::EarlyRejection).
    #[must_use]
    pub fn with_http(
        mut self,
        make: impl FnOnce(InstrumentedService) -> axum::Router + Send + 'static,
    ) -> Self {
        self.http = Some(Box::new(make));
        self
    }

    /// Serves until `shutdown`; then closes the port, lets requests in flight finish for at most
    /// [`ServerConfig::drain`], and cuts the rest. Health and reflection streams end UNAVAILABLE at once;
    /// long streams of a service should watch the same token and end too, or the drain takes its full
    /// time. Dropping the future cuts everything.
    pub async fn serve(
        self,
        routes: Routes,
        metrics: RequestMetrics,
        shutdown: CancellationToken,
    ) -> Drained {
        let config = self.config;
        warn_of_tokens_in_the_open(&config.credentials, self.address);
        let credential_metrics = CredentialMetrics::new(metrics.prefix());
        let supervisor = self
            .supervisor
            .unwrap_or_else(|| Supervisor::new(metrics.prefix(), Liveness::default()));
        let state = Arc::new(ServerState {
            metrics,
            logging: RequestLogging {
                access_log: config.access_log,
                traces: config.traces.clone(),
            },
            max_in_flight: config.max_in_flight,
            in_flight: AtomicUsize::new(0),
            credentials: config.credentials.clone(),
            shutdown: shutdown.clone(),
        });
        let service = InstrumentedService::new(routes, Arc::clone(&state));
        let http = self
            .http
            .map(|make| guarded(counted(make(service.clone()), &state), &state));
        let pages = match (self.pages, http) {
            (Some(pages), Some(http)) => Some(pages.merge(http)),
            (pages, http) => pages.or(http),
        };
        let front = ProtocolMux::new(service, pages, self.address.ip().is_loopback());

        let cut = CancellationToken::new();
        let _cut_when_dropped = cut.clone().drop_guard();
        follow_credentials(&config, credential_metrics.clone(), &supervisor, &cut);
        let incoming = connections(self.listener, &config, &credential_metrics, cut.clone());
        let serving = HttpServer::new(&config, shutdown.clone()).serve(front, incoming);
        tokio::pin!(serving);

        let overdue = async {
            shutdown.cancelled().await;
            sleep(config.drain).await;
        };
        tokio::select! {
            () = &mut serving => return Drained::Complete,
            () = overdue => {}
        }
        let requests = state.in_flight.load(Ordering::Acquire);
        tracing::warn!(
            requests,
            "the time to drain is over; the requests in flight are cut"
        );
        cut.cancel();
        if timeout(CUT, serving).await.is_err() {
            tracing::warn!("connections were still open after they were cut");
        }
        Drained::Cut { requests }
    }
}

/// The connections as they come, by TLS where there is a certificate.
fn connections(
    listener: TcpListener,
    config: &ServerConfig,
    metrics: &CredentialMetrics,
    cut: CancellationToken,
) -> Incoming {
    let credentials = &config.credentials;
    let failed = metrics.handshakes_failed.clone();
    let handshakes = credentials
        .has_tls()
        .then(|| Handshakes::new(credentials.clone(), failed));
    Incoming::new(listener, config.max_connections, cut, handshakes)
}

/// Follows the files of the credentials, if there are any, until `stop`.
///
/// Where that keeps failing the process must be restarted: it would go on with a certificate that
/// expires and with tokens that were withdrawn, and a new process reads the files at its start.
fn follow_credentials(
    config: &ServerConfig,
    metrics: CredentialMetrics,
    supervisor: &Supervisor,
    stop: &CancellationToken,
) {
    let (credentials, interval) = (config.credentials.clone(), config.credentials_interval);
    if !credentials.has_tls() && !credentials.asks_for_tokens() {
        return;
    }
    let task = Task::new("credentials");
    let follow_until = stop.clone();
    let start = move || {
        follow(
            credentials.clone(),
            metrics.clone(),
            interval,
            follow_until.clone(),
        )
    };
    supervisor.restart(task, RepeatedDeaths::FailLiveness, stop.clone(), start);
}

fn warn_of_tokens_in_the_open(credentials: &Credentials, address: SocketAddr) {
    if credentials.asks_for_tokens() && !credentials.has_tls() && !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "tokens come in plain text: let a proxy speak TLS before this port, or give --tls-certificate-file"
        );
    }
}
