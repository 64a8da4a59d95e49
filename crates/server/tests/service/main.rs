//! A running server from outside: its start and end, requests, pages, TLS, tokens and traces.
//!
//! One binary for all of it, so that the support code is compiled and the crates are linked once.
//! The tests share the process's metrics recorder; see [`support::Running`].

mod deadlines;
mod lifecycle;
mod page;
mod requests;
mod support;
mod tls;
mod tokens;
mod traces;
