//! The process around a `digits` service: command line, logs, ports, signals, graceful shutdown,
//! health check and exit codes. Both services use it; what they serve is their own.
//!
//! A process goes through these stages:
//!
//! 1. [`args::parse`] reads flags and environment; [`run`] sets up logs and the runtime.
//! 2. [`Foundation::new`] checks credentials and telemetry before anything is created.
//! 3. [`Foundation::bind`] opens the gRPC and the admin port; [`Bound::announce`] logs them. Until
//!    [`shutdown_token`] is called, SIGTERM ends the process at once.
//! 4. [`Bound::start`] answers probes and metrics while the service still starts.
//! 5. [`Running::serve`] answers gRPC until the shutdown and drains: not ready → `--shutdown-delay`
//!    → clients are asked to reconnect → `--shutdown-linger` → the port closes → requests in flight
//!    finish (`--shutdown-grace`).
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use clap::Parser;
//! use digits_server::{Routes, ServerConfig};
//! use digits_service::{Error, Foundation, ServiceFlags, ServiceInfo, args};
//!
//! const INFO: ServiceInfo = ServiceInfo {
//!     name: "example",
//!     metrics_prefix: "example",
//!     methods: &[],
//!     services: &[],
//!     descriptors: &[],
//!     roles: &[],
//! };
//!
//! #[derive(Debug, Parser)]
//! struct Flags {
//!     #[command(flatten)]
//!     service: ServiceFlags,
//! }
//!
//! fn main() -> ExitCode {
//!     match args::parse::<Flags>() {
//!         Ok(flags) => digits_service::run(flags.service.log_format, serve(flags)),
//!         Err(code) => code,
//!     }
//! }
//!
//! async fn serve(flags: Flags) -> Result<ExitCode, Error> {
//!     let recorder = digits_telemetry::metrics::install(&[])?;
//!     let foundation = Foundation::new(INFO, &flags.service)?;
//!     let admin = "127.0.0.1:0".parse().expect("an address");
//!     let bound = foundation.bind(ServerConfig::default(), admin, recorder).await?;
//!     let shutdown = digits_service::shutdown_token();
//!     bound.announce("no storage", &flags)?;
//!     let ready = async |readiness: digits_service::ServiceReadiness| readiness.set_ready().await;
//!     let (stop_work, close) = (async {}, async {});
//!     bound.start().serve(Routes::default(), shutdown, ready, stop_work, close).await?;
//!     Ok(ExitCode::SUCCESS)
//! }
//! ```

pub mod args;
mod duration;
mod error;
pub mod exit;
mod flags;
pub mod health_check;
mod heap;
pub mod man;
mod number;
mod open_files;
mod process;
mod readiness;
mod ready_file;
mod service;
mod signals;

pub use duration::{parse_age, parse_duration};
pub use error::{Error, FlagError};
pub use flags::{AdminAccess, BrowserFlags, RequestFlags, ServiceFlags};
pub use number::parse_whole;
pub use process::{print_failure, run};
pub use readiness::ServiceReadiness;
pub use service::{Addresses, Bound, Foundation, Running, ServiceInfo};
pub use signals::shutdown_token;
