//! What every request passes through between HTTP and its handler: authentication, the limit on
//! requests in flight, the deadline, metrics, the access log and the trace span.
//!
//! [`service`] calls them in this order; each is a function or a value of its own. They are not
//! tower layers: a layer needs a service and a future type each, some 60 lines, to wrap one call.

mod access_log;
mod context;
mod deadline;
mod guard;
mod http;
mod metrics;
mod request_id;
mod service;
mod shutdown_body;
mod state;

pub use access_log::{AccessLogFields, AnsweredBy};
pub use context::RequestContext;
pub use deadline::Deadline;
pub use http::EarlyRejection;
pub(crate) use http::instrumented;
pub use metrics::RequestMetrics;
pub(crate) use request_id::{EchoesRequestId, echo_request_id};
pub use service::{InstrumentedService, ResponseFuture};
pub(crate) use state::ServerState;
