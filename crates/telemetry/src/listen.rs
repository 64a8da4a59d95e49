//! Opens TCP ports with errors that name the remedy, and recognizes hosts that name the loopback.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

/// A port that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", remedy(.source, .flag))]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The command-line flag that sets it, such as `--listen`.
    pub flag: &'static str,
    /// The error of the operating system.
    #[source]
    pub source: io::Error,
}

fn remedy(source: &io::Error, flag: &str) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "the port is taken; stop the process that uses it, or choose another with {flag} (port 0 takes a free one)"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; choose one of its own with {flag}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("not permitted; choose a port above 1023 with {flag}")
        }
        _ => format!("{source}; choose another address with {flag}"),
    }
}

/// Opens `address` and returns the listener with the address that it got: port 0 becomes a free
/// one.
///
/// `flag` is the command-line flag that sets the address; the error names it.
///
/// # Errors
/// When the port is taken, not permitted, or the address is not this machine's.
pub async fn listen(
    address: SocketAddr,
    flag: &'static str,
) -> Result<(TcpListener, SocketAddr), BindError> {
    let refused = |source| BindError {
        address,
        flag,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}

/// Returns whether an HTTP `Host` (or `:authority`) names this machine's loopback: `localhost`,
/// `127.0.0.0/8` or `[::1]`, with or without a port.
///
/// A port on the loopback is out of reach from elsewhere, except through a browser on this
/// machine that was given a name resolving to 127.0.0.1 (DNS rebinding). Such a request
/// carries the foreign name, by which it is recognized.
#[must_use]
pub fn names_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return inner.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) => return false,
        None => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts_are_distinguished_from_foreign_ones() {
        for host in [
            "localhost",
            "LOCALHOST:9051",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.8.9.1",
            "[::1]",
            "[::1]:9051",
        ] {
            assert!(names_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9051",
            "localhost.evil.example",
            "10.0.0.1",
            "127.0.0.1.evil.example",
            "[::2]:1",
            "[",
            "a:b:c",
            "localhost:80x",
        ] {
            assert!(!names_loopback(host), "{host}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_remedy() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (_held, address) = listen(any, "--listen").await.expect("a free port");
        let error = listen(address, "--listen").await.expect_err("taken");
        let text = error.to_string();
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(text.contains("the port is taken"), "{text}");
        assert!(text.contains("--listen"), "{text}");
    }
}
