//! The trainer: takes training jobs over gRPC, trains with libtorch, publishes checkpoints.
//!
//! [`train`] is the training itself and knows nothing of the rest. [`store`] is the memory, [`worker`] carries
//! jobs out, [`intake`] takes them in, [`grpc`] answers clients, [`app`] puts them together; [`run`] is one job without the service.

pub mod app;
mod background;
pub mod config;
pub mod datasets;
pub mod grpc;
pub mod import;
pub mod intake;
pub mod job;
mod lifecycle;
pub mod metrics;
pub mod page;
pub mod remote_write;
pub mod reporter;
pub mod retention;
pub mod run;
pub mod spec;
pub mod store;
#[cfg(test)]
mod test_supervisor;
pub mod train;
pub mod wire;
pub mod worker;
