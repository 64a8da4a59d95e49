//! Echoes `x-request-id`, so that a caller finds its request in the logs of all services that it
//! passed through.

use http::{HeaderName, Request};
use tower::util::MapRequest;
use tower_http::propagate_header::PropagateHeader;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is echoed and logged, in bytes.
const MAX_BYTES: usize = 128;

/// A service whose responses carry the ids of its requests.
pub(crate) type EchoesRequestId<S, B> =
    MapRequest<PropagateHeader<S>, fn(Request<B>) -> Request<B>>;

/// Makes `service` echo the ids of its requests. Longer ones than 128 bytes are dropped.
pub(crate) fn echo_request_id<S, B>(service: S) -> EchoesRequestId<S, B> {
    MapRequest::new(PropagateHeader::new(service, REQUEST_ID), drop_long_id)
}

fn drop_long_id<B>(mut request: Request<B>) -> Request<B> {
    let id = request.headers().get(REQUEST_ID);
    if id.is_some_and(|id| id.len() > MAX_BYTES) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}
