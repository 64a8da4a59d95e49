//! What both services show of themselves: logs, Prometheus metrics, traces, readiness, liveness, and
//! the admin port that serves them; and the supervision of their long-lived tasks. Knows nothing of
//! gRPC, training or models.

pub mod admin;
pub mod listen;
pub mod liveness;
pub mod logs;
pub mod metrics;
mod panic_text;
pub mod readiness;
pub mod supervisor;
pub mod traces;

pub use panic_text::panic_text;
