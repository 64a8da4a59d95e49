//! Telemetry of both services: logs, Prometheus metrics, traces, readiness, liveness, the admin
//! port that serves them, and the supervision of long-lived tasks. It knows nothing of gRPC,
//! training or models.
//!
//! ```
//! use digits_telemetry::readiness::Readiness;
//!
//! let readiness = Readiness::new();
//! assert_eq!(readiness.check(), Err("starting".to_owned()));
//! readiness.set_ready();
//! assert_eq!(readiness.check(), Ok(()));
//! ```

pub mod admin;
pub mod hosts;
pub mod listen;
pub mod liveness;
pub mod logs;
pub mod metrics;
mod panic_text;
pub mod readiness;
pub mod supervisor;
pub mod traces;

pub use panic_text::panic_text;
