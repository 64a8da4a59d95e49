//! Accepts TCP connections and carries out their TLS handshakes.

pub(crate) mod connection;
pub(crate) mod handshake;
