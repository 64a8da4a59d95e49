//! Asks a running service whether it is ready: the `health` of each binary, for containers that have no shell.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// Time that each step may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read, at most.
const MAX_ANSWER: u64 = 16 << 10;

/// Asks `/readyz` of the admin port at `admin`; one that listens everywhere is asked on the loopback. Blocks.
///
/// # Errors
/// What the service said, or why it could not be asked.
pub fn ask_ready(admin: SocketAddr) -> Result<(), String> {
    let address = reachable(admin);
    let unreachable = |error: std::io::Error| format!("{address} cannot be asked: {error}");
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(unreachable)?;
    stream
        .set_read_timeout(Some(TIMEOUT))
        .map_err(unreachable)?;
    stream
        .set_write_timeout(Some(TIMEOUT))
        .map_err(unreachable)?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(unreachable)?;
    let mut answer = String::new();
    stream
        .take(MAX_ANSWER)
        .read_to_string(&mut answer)
        .map_err(unreachable)?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(answer
        .split("\r\n\r\n")
        .nth(1)
        .unwrap_or("no answer")
        .trim()
        .to_owned())
}

/// A service that listens everywhere is asked on the loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
