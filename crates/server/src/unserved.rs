//! Counts what plain HTTP refuses by itself, before any of the services meets it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::Uri;
use tonic::Code;

use crate::flight::{Flight, Traffic};

/// In the extensions of an answer of [`GrpcServer::with_http`](crate::GrpcServer::with_http) that none of the services gave: it is
/// counted and logged as a request of `path` that ended with `code`.
#[derive(Clone, Copy, Debug)]
pub struct Unserved {
    /// The whole path of the method that was meant, `/digits.v1.InferenceService/Predict`, or `/`: it counts as `other`.
    pub path: &'static str,
    /// What gRPC calls the reason.
    pub code: Code,
}

/// Looks at each answer of `router`.
pub(crate) fn counted(router: Router, traffic: &Arc<Traffic>) -> Router {
    router.layer(from_fn_with_state(Arc::clone(traffic), count))
}

async fn count(
    State(traffic): State<Arc<Traffic>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let headers = request.headers().clone();
    let answer = next.run(request).await;
    if let Some(&Unserved { path, code }) = answer.extensions().get() {
        let token = traffic.credentials.admit(&headers).ok().flatten();
        let mut meant = Request::new(());
        *meant.uri_mut() = Uri::from_static(path);
        *meant.headers_mut() = headers;
        Flight::begin(&traffic, &mut meant, false, token).end(code);
    }
    answer
}
