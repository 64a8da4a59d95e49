//! Tests of a running server through its port.
//!
//! One binary for all of it, so that the support code is compiled and the crates are linked once.
//! The tests share the process's metrics recorder; see [`support::Running`].

mod browsers;
mod client_names;
mod compression;
mod connect;
mod deadlines;
mod greed;
mod jwt;
mod lifecycle;
mod page;
mod requests;
mod resets;
mod roles;
mod slow_clients;
mod support;
mod tls;
mod tokens;
mod traces;
