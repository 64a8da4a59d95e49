//! The `health` subcommand: checks `/readyz` of a running service, for containers without a shell.

mod tls;

use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::error::Error;
use crate::process::fail;

/// Timeout of connecting, of writing and of each read.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of a response that are read at most.
const MAX_RESPONSE_BYTES: u64 = 16 << 10;

/// Checks the service whose admin port is `admin`; returns the exit code: 0 if it is ready, else 1
/// after one line on standard error. Blocks.
#[must_use]
pub fn run(admin: SocketAddr) -> ExitCode {
    match check(admin) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Requests `/readyz` of the admin port `admin`; an unspecified address means the loopback:
/// `0.0.0.0` that of IPv4, and `[::]` that of IPv6 or, where it is not reachable, of IPv4. Blocks.
///
/// # Errors
/// [`Error::NotReady`] with the response, or [`Error::Unreachable`].
pub fn check(admin: SocketAddr) -> Result<(), Error> {
    let ask = |ip: IpAddr| {
        let address = SocketAddr::new(ip, admin.port());
        get_readyz(address).map_err(|source| Error::Unreachable { address, source })
    };
    let response = match admin.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => ask(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            ask(Ipv6Addr::LOCALHOST.into()).or_else(|_| ask(Ipv4Addr::LOCALHOST.into()))
        }
        ip => ask(ip),
    }?;
    if response.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let body = response.split_once("\r\n\r\n").map(|(_, body)| body.trim());
    Err(Error::NotReady(body.unwrap_or("empty response").to_owned()))
}

/// The response of the port, over plain text or TLS: an alert of TLS is no response of HTTP.
fn get_readyz(address: SocketAddr) -> io::Result<String> {
    let plain = ask(connect(address)?, address);
    if matches!(&plain, Ok(response) if response.starts_with("HTTP/")) {
        return plain;
    }
    ask(tls::secure(connect(address)?)?, address)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn ask(mut stream: impl io::Read + io::Write, address: SocketAddr) -> io::Result<String> {
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut response = Vec::new();
    stream.take(MAX_RESPONSE_BYTES).read_to_end(&mut response)?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}
