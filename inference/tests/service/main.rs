//! The service from outside, the engine against a naive network, and the binary as a process.
//!
//! One binary for all of it, so that the support code is compiled and the crates are linked once.
//! The tests share the process's metrics recorder; see `support::recorder`.
#![allow(clippy::unwrap_used)]

mod answers;
mod bad_input;
mod changed_manifests;
mod engine;
mod loading;
mod metrics;
mod numbers;
mod pictures;
mod predict;
mod process;
mod queue;
mod restored;
mod roles;
mod signed;
mod storage_faults;
mod supervision;
mod support;
