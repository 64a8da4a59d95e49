//! What every request passes through: authentication, limits, deadline, metrics and access log.

pub(crate) mod access_log;
pub(crate) mod authentication;
pub(crate) mod body;
pub(crate) mod deadline;
pub(crate) mod early_rejection;
pub(crate) mod metrics;
pub(crate) mod service;
