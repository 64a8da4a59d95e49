//! Plain HTTP over the services, such as REST: checks tokens before the body is read, and accounts
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
use super::service::ServerState;

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
    let client = match state.authenticate(request.headers()) {
        Ok(client) => client,
        Err(status) => {
            state.begin(&mut request).finish(Code::Unauthenticated);
            // The message needs no escaping in JSON.
            let body = format!("{{\"error\":\"{}\"}}\n", status.message());
            let headers = [
                (header::CONTENT_TYPE, "application/json"),
                (header::WWW_AUTHENTICATE, "Bearer"),
            ];
            return (StatusCode::UNAUTHORIZED, headers, body).into_response();
        }
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
        guard.set_token_name(client.map(|client| client.name));
        guard.finish(code);
    }
    response
}
