//! Accepts TCP connections, decides which of them stay when places run out, and performs their TLS
//! handshakes.

mod closing;
mod handshake;
mod listener;
mod metrics;
mod registry;

pub(crate) use closing::Closing;
pub(crate) use handshake::TlsHandshakes;
pub(crate) use listener::{Accepted, Listener};
pub(crate) use metrics::ConnectionMetrics;
pub(crate) use registry::Registry;
