//! The context of a request: computed once, when its headers have arrived, and carried to the
//! handler in the request's extensions.

use std::time::Instant;

use http::{Extensions, Request};

use super::access_log::AccessLogFields;
use super::deadline::Deadline;

/// What the server knows about a request before its handler runs.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// When the headers arrived.
    pub started: Instant,
    /// When the client stops waiting for the response.
    pub deadline: Deadline,
    /// Fields that the handler may add to the request's line in the access log; `None` for a
    /// request that gets no line.
    pub log_fields: Option<AccessLogFields>,
}

impl RequestContext {
    /// The context in the extensions of a request; of one that did not come through the server, one
    /// that starts now.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        let context = extensions.get().cloned();
        context.unwrap_or_else(|| Self::from(Deadline::default()))
    }

    /// The context of a request whose headers arrived at `started`. A deadline that is in the
    /// extensions already is kept: that of a plain HTTP request which became a gRPC request.
    pub(crate) fn begin<B>(request: &Request<B>, started: Instant) -> Self {
        let deadline = match request.extensions().get::<Self>() {
            Some(context) => context.deadline,
            None => Deadline::from_headers(request.headers(), started),
        };
        Self::new(started, deadline)
    }

    fn new(started: Instant, deadline: Deadline) -> Self {
        Self {
            started,
            deadline,
            log_fields: None,
        }
    }

    /// Puts the context into the request's extensions.
    pub(crate) fn attach<B>(self, request: &mut Request<B>) {
        request.extensions_mut().insert(self);
    }
}

/// The context of a request that starts now.
impl From<Deadline> for RequestContext {
    fn from(deadline: Deadline) -> Self {
        Self::new(Instant::now(), deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn request(timeout: Option<&'static str>) -> Request<()> {
        let mut request = Request::new(());
        if let Some(timeout) = timeout {
            let value = http::HeaderValue::from_static(timeout);
            request.headers_mut().insert("grpc-timeout", value);
        }
        request
    }

    #[test]
    fn the_deadline_is_in_the_extensions_and_is_computed_once() {
        let now = Instant::now();
        let mut timed = request(Some("2S"));
        let context = RequestContext::begin(&timed, now);
        assert_eq!(
            context.deadline.instant(),
            Some(now + Duration::from_secs(2))
        );
        context.clone().attach(&mut timed);
        assert_eq!(
            RequestContext::of(timed.extensions()).deadline,
            context.deadline
        );
        let later = now + Duration::from_secs(1);
        let again = RequestContext::begin(&timed, later);
        assert_eq!((again.started, again.deadline), (later, context.deadline));
    }

    #[test]
    fn a_request_without_a_valid_timeout_has_no_deadline() {
        for timeout in [None, Some("2"), Some("soon")] {
            let context = RequestContext::begin(&request(timeout), Instant::now());
            assert_eq!(context.deadline, Deadline::default(), "{timeout:?}");
        }
    }
}
