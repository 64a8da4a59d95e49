//! Counts what plain HTTP refuses by itself, before any of the services meets it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::Uri;
use tonic::Code;

use crate::middleware::service::{RequestGuard, ServerState};

/// In the extensions of an answer of [`GrpcServer::with_http`](crate::GrpcServer::with_http) that none of the services gave: it is
/// counted and logged as a request of `path` that ended with `code`.
#[derive(Clone, Copy, Debug)]
pub struct EarlyRejection {
    /// The whole path of the method that was meant, `/digits.v1.InferenceService/Predict`, or `/`: it counts as `other`.
    pub path: &'static str,
    /// What gRPC calls the reason.
    pub code: Code,
}

/// Looks at each answer of `router`.
pub(crate) fn counted(router: Router, state: &Arc<ServerState>) -> Router {
    router.layer(from_fn_with_state(Arc::clone(state), count))
}

async fn count(
    State(state): State<Arc<ServerState>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let headers = request.headers().clone();
    let answer = next.run(request).await;
    if let Some(&EarlyRejection { path, code }) = answer.extensions().get() {
        let token = state.credentials.admit(&headers).ok().flatten();
        let mut meant = Request::new(());
        *meant.uri_mut() = Uri::from_static(path);
        *meant.headers_mut() = headers;
        RequestGuard::begin(&state, &mut meant, false, token).end(code);
    }
    answer
}
