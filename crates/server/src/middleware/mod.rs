//! What every request passes through between HTTP and its handler: authentication, roles, the
//! audit log, the limit on requests in flight, the deadline, metrics, the access log and the trace
//! span.
//!
//! [`service`] calls them in this order; each is a function or a value of its own. They are not
//! tower layers: a layer needs a service and a future type each, some 60 lines, to wrap one call.

mod access;
mod access_log;
mod audit;
mod compression;
mod context;
mod ending_body;
pub(crate) mod guard;
mod http;
mod message_frames;
mod metrics;
mod place;
mod request_body;
mod service;

pub use access::MethodRoles;
pub(crate) use access_log::REQUEST_ID;
pub use access_log::{AccessLogFields, AnsweredBy};
pub use audit::AuditLog;
pub use context::{ClientKey, Deadline, RequestContext};
pub use http::EarlyRejection;
pub(crate) use http::instrumented;
pub use metrics::RequestMetrics;
pub(crate) use place::{Origin, Place, Purpose};
pub(crate) use request_body::RequestBody;
pub(crate) use service::ServerState;
pub use service::{InstrumentedService, ResponseFuture};
