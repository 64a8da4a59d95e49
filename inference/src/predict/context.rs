//! Context of a request that the stages share: everything except its images.

use super::{error::PredictError, route::SelectedRoute};
use crate::metrics::Method;
use axum::http::Extensions;
use digits_server::{AccessLogFields, AnsweredBy, ClientKey, Deadline};
use std::time::Instant;

/// One request: a unary call, or one message of a stream.
pub struct PredictContext {
    /// The RPC, as a label of the metrics.
    pub method: Method,
    /// When the handler received the request; the response time is counted from here.
    pub started: Instant,
    /// When the client stops waiting.
    pub deadline: Deadline,
    /// The client, which shares the workers of the queue and the turns of pictures with the others.
    pub client: ClientKey,
    /// Fields of the request's access-log line and span; `None` if neither is recorded.
    pub log_fields: Option<AccessLogFields>,
}

impl PredictContext {
    /// The context of a request that arrives now, from what the server put into its extensions.
    #[must_use]
    pub fn new(method: Method, extensions: &Extensions) -> Self {
        let context = extensions.get::<digits_server::RequestContext>();
        Self {
            method,
            started: Instant::now(),
            deadline: context.map(|it| it.deadline).unwrap_or_default(),
            client: context.map(|it| it.client_key()).unwrap_or_default(),
            log_fields: context.and_then(|it| it.log_fields.clone()),
        }
    }

    /// # Errors
    ///
    /// [`PredictError::DeadlineExceeded`] when the deadline had passed as the handler received the
    /// request.
    pub fn check_deadline(&self) -> Result<(), PredictError> {
        let deadline = self.deadline.instant();
        if deadline.is_some_and(|at| at <= self.started) {
            return Err(PredictError::DeadlineExceeded);
        }
        Ok(())
    }

    /// Adds the route that responds to the access-log line, if the request has one.
    pub fn log_route(&self, selected: SelectedRoute<'_>) {
        if let Some(fields) = &self.log_fields {
            fields.set_answered_by(|| AnsweredBy {
                model: selected.model.name.to_string(),
                sequence: selected.snapshot.sequence,
                role: selected.route.role.as_str(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_is_the_one_that_the_server_computed() {
        let mut extensions = Extensions::new();
        let context = PredictContext::new(Method::Predict, &extensions);
        assert_eq!(context.deadline, Deadline::default());
        assert!(context.check_deadline().is_ok());
        let deadline = Deadline::from(Instant::now());
        extensions.insert(digits_server::RequestContext::from(deadline));
        let context = PredictContext::new(Method::Predict, &extensions);
        assert_eq!(context.deadline, deadline);
        assert!(context.check_deadline().is_err());
    }
}
