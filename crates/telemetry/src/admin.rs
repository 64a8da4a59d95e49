//! The admin port: `/metrics` for Prometheus, `/livez` and `/readyz` for an orchestrator. No
//! request to it changes the service. It may speak TLS, and require authentication for `/metrics`;
//! probes need none, because an orchestrator has no credentials.

mod connections;
mod secured;

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use connections::LimitedListener;

pub use connections::{AdminLimits, CurrentTls};

use crate::hosts::AllowedHosts;
use crate::listen::{BindError, listen};
use crate::liveness::Liveness;
use crate::metrics::Recorder;
use crate::readiness::Readiness;

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Time for a scrape in progress to finish at shutdown.
const GRACE: Duration = Duration::from_secs(1);

/// The admin port, open but not yet answering.
pub struct AdminServer {
    listener: TcpListener,
    router: Router,
    /// Hosts that requests may name; any, if `None`.
    hosts: Option<AllowedHosts>,
    limits: AdminLimits,
    tls: CurrentTls,
}

/// Decides whether a request with these headers may read the metrics.
pub type ScrapeCheck = Arc<dyn Fn(&HeaderMap) -> Result<(), ScrapeRefused> + Send + Sync>;

/// Why a request may not read the metrics.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeRefused {
    /// The client did not prove who it is.
    #[error("{0}")]
    Unauthenticated(String),
    /// The client may not.
    #[error("{0}")]
    Denied(String),
    /// The service cannot decide yet.
    #[error("{0}")]
    Unavailable(String),
}

#[derive(Clone)]
struct AppState {
    recorder: Recorder,
    readiness: Readiness,
    liveness: Liveness,
}

/// Opens the admin port and returns it with the address that it got.
///
/// # Errors
/// When the port cannot be opened; the error names address and remedy.
pub async fn bind(
    address: SocketAddr,
    recorder: Recorder,
    readiness: Readiness,
    liveness: Liveness,
) -> Result<(AdminServer, SocketAddr), BindError> {
    let (listener, bound) = listen(address, "--admin-listen").await?;
    let state = AppState {
        recorder,
        readiness,
        liveness,
    };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .fallback(unknown)
        .with_state(state);
    let is_loopback = bound.ip().to_canonical().is_loopback();
    let server = AdminServer {
        listener,
        router,
        hosts: is_loopback.then(AllowedHosts::default),
        limits: AdminLimits::default(),
        tls: Arc::new(|| None),
    };
    Ok((server, bound))
}

impl AdminServer {
    /// Answers also under the names of `hosts`. A port that is not on the loopback answers under
    /// any.
    #[must_use]
    pub fn with_allowed_hosts(mut self, hosts: AllowedHosts) -> Self {
        self.hosts = self.hosts.map(|_| hosts);
        self
    }

    /// Sets other limits than the default ones.
    #[must_use]
    pub fn with_limits(mut self, limits: AdminLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Speaks TLS with the configuration that `tls` returns for each connection.
    #[must_use]
    pub fn with_tls(mut self, tls: CurrentTls) -> Self {
        self.tls = tls;
        self
    }

    /// Answers `/metrics` only where `check` allows it.
    #[must_use]
    pub fn with_scrape_check(mut self, check: ScrapeCheck) -> Self {
        let guard = middleware::from_fn_with_state(check, allowed_scrapes_only);
        self.router = self.router.layer(guard);
        self
    }

    /// Answers until `shutdown`.
    pub async fn serve(self, shutdown: CancellationToken) {
        let listener = LimitedListener::new(self.listener, self.limits, self.tls);
        let router = match self.hosts {
            Some(hosts) => {
                let guard = middleware::from_fn_with_state(hosts, allowed_hosts_only);
                self.router.layer(guard)
            }
            None => self.router,
        };
        let serving = async {
            axum::serve(listener, router)
                .with_graceful_shutdown(shutdown.clone().cancelled_owned())
                .await
        };
        let overdue = async {
            shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            result = serving => if let Err(error) = result {
                tracing::error!(%error, "the admin port stopped");
            },
            () = overdue => tracing::debug!("admin connections were still open at shutdown"),
        }
    }
}

async fn metrics(State(state): State<AppState>) -> Response {
    match tokio::task::spawn_blocking(move || state.recorder.render()).await {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "rendering failed\n").into_response(),
    }
}

/// Answers a gRPC client, whose user has mixed up the ports, in its own form.
async fn unknown(request: Request) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        let headers = [
            ("content-type", "application/grpc"),
            ("grpc-status", "12"),
            (
                "grpc-message",
                "this is the admin port: call the port of --listen",
            ),
        ];
        return headers.into_response();
    }
    let text = "not found: the admin port has /metrics, /livez and /readyz\n";
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn livez(State(state): State<AppState>) -> Response {
    probe("not live", state.liveness.check())
}

async fn readyz(State(state): State<AppState>) -> Response {
    let unable = state.liveness.unable().is_cancelled();
    match state.liveness.check() {
        Err(reason) if unable => probe("not ready", Err(reason)),
        _ => match (state.readiness.check(), state.readiness.saturation()) {
            (Ok(()), Some(full)) => format!("ok, but saturated: {full}\n").into_response(),
            (checked, _) => probe("not ready", checked),
        },
    }
}

fn probe(failed: &str, checked: Result<(), impl Display>) -> Response {
    match checked {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{failed}: {reason}\n"),
        )
            .into_response(),
    }
}

async fn allowed_scrapes_only(
    State(check): State<ScrapeCheck>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path() != "/metrics" {
        return next.run(request).await;
    }
    let Err(refused) = check(request.headers()) else {
        return next.run(request).await;
    };
    let text = format!("{refused}\n");
    match refused {
        ScrapeRefused::Unauthenticated(_) => {
            let scheme = [(header::WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, scheme, text).into_response()
        }
        ScrapeRefused::Denied(_) => (StatusCode::FORBIDDEN, text).into_response(),
        ScrapeRefused::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, text).into_response(),
    }
}

/// Refuses requests under a foreign host name: DNS rebinding, see [`crate::hosts`].
async fn allowed_hosts_only(
    State(hosts): State<AllowedHosts>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(header::HOST);
    // A request without a host (HTTP/1.0) cannot come from a browser.
    if host.is_none_or(|host| host.to_str().is_ok_and(|host| hosts.allow(host))) {
        return next.run(request).await;
    }
    (
        StatusCode::MISDIRECTED_REQUEST,
        "this port answers to localhost only; name this host in --allowed-host, or bind the port to another address with --admin-listen\n",
    )
        .into_response()
}
