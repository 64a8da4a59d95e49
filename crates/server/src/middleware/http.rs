//! Plain HTTP over the services, such as REST: authenticates before the body is read, and accounts
//! for requests that end before they become a gRPC request. The others are accounted for by
//! [`super::service`].

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, Uri, header};
use tonic::Code;

use super::context::RequestContext;
use super::service::{ServerState, refused};
use crate::credentials::AuthenticationError;

/// In the extensions of a response of [`GrpcServer::with_http`](crate::GrpcServer::with_http) that
/// was made without calling a service: the request is counted and logged as one of `path` that
/// ended with `code`.
#[derive(Clone, Copy, Debug)]
pub struct EarlyRejection {
    /// Path of the gRPC method that the request was for, such as
    /// `/digits.v1.InferenceService/Predict`, or `/`, which counts as `other`.
    pub path: &'static str,
    /// The gRPC code for the reason.
    pub code: Code,
}

/// `router` with this middleware on each of its routes.
pub(crate) fn instrumented(router: Router, state: &Arc<ServerState>) -> Router {
    router.route_layer(from_fn_with_state(Arc::clone(state), instrument))
}

async fn instrument(
    State(state): State<Arc<ServerState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut authenticated = state.authenticate(&request);
    if let Err(refusal) = &mut authenticated
        && let Some(keys) = refusal.keys.take()
    {
        keys.fetched().await;
        authenticated = state.authenticate(&request);
    }
    let client = match authenticated {
        Ok(client) => client,
        Err(refusal) => return refuse(&state, &mut request, refusal.reason),
    };
    let headers = request.headers().clone();
    let context = RequestContext::of(request.extensions());
    let response = next.run(request).await;
    if let Some(&EarlyRejection { path, code }) = response.extensions().get() {
        let mut rejected = http::Request::new(());
        *rejected.uri_mut() = Uri::from_static(path);
        *rejected.headers_mut() = headers;
        context.attach(&mut rejected);
        let mut guard = state.begin(&mut rejected);
        guard.set_client_name(client.map(|client| client.name));
        guard.finish(code);
    }
    response
}

fn refuse(state: &ServerState, request: &mut Request, reason: AuthenticationError) -> Response {
    let status = refused(reason);
    state.begin(request).finish(status.code());
    // The message needs no escaping in JSON.
    let body = format!("{{\"error\":\"{}\"}}\n", status.message());
    let content_type = (header::CONTENT_TYPE, "application/json");
    if status.code() == Code::Unavailable {
        return (StatusCode::SERVICE_UNAVAILABLE, [content_type], body).into_response();
    }
    let headers = [content_type, (header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, headers, body).into_response()
}
