//! What both services show of themselves: logs, Prometheus metrics, traces, readiness, and the admin port
//! that serves them. Knows nothing of gRPC, training or models.

pub mod admin;
pub mod listen;
pub mod logs;
pub mod metrics;
pub mod readiness;
pub mod traces;
