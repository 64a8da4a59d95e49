//! One connection: what its requests share, and what it does.

mod activity;
mod cancellations;
mod context;
mod metered;
mod open_request;

pub(crate) use activity::Standing;
pub(crate) use context::{CloseReason, ConnectionContext, jittered};
pub(crate) use metered::Metered;
pub(crate) use open_request::OpenRequest;
