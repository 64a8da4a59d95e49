//! The door of plain HTTP that is made of the services: its calls bring a token as gRPC's do. A page's files are not behind it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use tonic::Code;

use crate::middleware::service::{RequestGuard, ServerState};

/// Puts the door before every route of `router`, where tokens are asked for at all.
pub(crate) fn guarded(router: Router, state: &Arc<ServerState>) -> Router {
    if !state.credentials.asks_for_tokens() {
        return router;
    }
    router.route_layer(from_fn_with_state(Arc::clone(state), admit))
}

/// Refuses before a byte of the body is read. What is let in is counted, and named in the log, where it meets the services.
async fn admit(
    State(state): State<Arc<ServerState>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let Err(refusal) = state.credentials.admit(request.headers()) else {
        return next.run(request).await;
    };
    RequestGuard::begin(&state, &mut request, false, None).end(Code::Unauthenticated);
    let body = format!("{{\"error\":\"{}\"}}\n", refusal.message());
    let mut response = (StatusCode::UNAUTHORIZED, body).into_response();
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let bearer = HeaderValue::from_static("Bearer");
    headers.insert(header::WWW_AUTHENTICATE, bearer);
    response
}
