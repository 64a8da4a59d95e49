//! The admin port: `/metrics` for Prometheus, `/livez` and `/readyz` for an orchestrator. It has no
//! authentication, and no request to it changes the service.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::listen::{BindError, listen, names_loopback};
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
    let mut router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(state);
    if bound.ip().is_loopback() {
        router = router.layer(middleware::from_fn(loopback_only));
    }
    Ok((AdminServer { listener, router }, bound))
}

impl AdminServer {
    /// Answers until `shutdown`.
    pub async fn serve(self, shutdown: CancellationToken) {
        let listener = self.listener.tap_io(|io| {
            if let Err(error) = io.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY was not set");
            }
        });
        let serving = async {
            axum::serve(listener, self.router)
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

async fn livez(State(state): State<AppState>) -> Response {
    probe("not live", state.liveness.check())
}

async fn readyz(State(state): State<AppState>) -> Response {
    let unable = state.liveness.unable().is_cancelled();
    match state.liveness.check() {
        Err(reason) if unable => probe("not ready", Err(reason)),
        _ => probe("not ready", state.readiness.check()),
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

/// Refuses requests under a foreign host name: DNS rebinding, see [`names_loopback`].
async fn loopback_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    // A request without a host (HTTP/1.0) cannot come from a browser.
    if host.is_none_or(|host| host.to_str().is_ok_and(names_loopback)) {
        return next.run(request).await;
    }
    (
        StatusCode::MISDIRECTED_REQUEST,
        "this port answers to localhost only; bind it to another address to reach it by name\n",
    )
        .into_response()
}
