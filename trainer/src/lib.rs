//! The trainer: accepts training jobs over gRPC, trains with libtorch, publishes checkpoints.
//!
//! [`train`] is the training alone. [`submission`] accepts jobs, [`store`] keeps them, [`worker`]
//! runs them, [`grpc`] answers clients, [`app`] puts them together; [`run`] is one job without the
//! service, and [`work`] one attempt in a process of its own; [`sweep`] has groups of jobs run and
//! compares them. [`worker::job_lifecycle`] walks along the calls from `SubmitJob` to the promoted
//! checkpoint.

pub mod app;
pub mod attempt;
mod background;
mod blocking;
pub mod cancellation;
pub mod config;
pub mod datasets;
pub mod grpc;
mod http_address;
pub mod import;
pub mod job;
mod journal;
mod lifecycle;
pub mod metrics;
pub mod page;
pub mod quotas;
pub mod remote_write;
pub mod reporter;
pub mod retention;
pub mod run;
mod signing;
mod similar;
pub mod spec;
pub mod store;
pub mod submission;
pub mod sweep;
#[cfg(test)]
mod test_supervisor;
pub mod tracker;
pub mod train;
pub mod watch;
pub mod webhook;
pub mod wire;
pub mod work;
pub mod worker;
