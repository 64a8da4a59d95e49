//! Accepts TCP connections and performs their TLS handshakes.

mod handshake;
mod listener;

pub(crate) use handshake::TlsHandshakes;
pub(crate) use listener::{Accepted, Listener};
