//! Opens TCP ports, for IPv4 and IPv6 at once where asked for, with errors that name the remedy.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted; the system may have a lower limit.
const BACKLOG: u32 = 1024;

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
/// `[::]` accepts IPv4 connections too, whatever the system's default is. Where the kernel has no
/// IPv6, `0.0.0.0` is opened in its place, with a warning in the log.
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
    let listener = open_or_fall_back(address, flag, open).map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}

fn open_or_fall_back<L>(
    address: SocketAddr,
    flag: &str,
    open: impl Fn(SocketAddr) -> io::Result<L>,
) -> io::Result<L> {
    let opened = open(address);
    let every_ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    match opened {
        Err(error) if is_every_ipv6(address) && is_without_ipv6(&error) => {
            tracing::warn!(
                "this system has no IPv6: {flag} listens on {every_ipv4} instead of {address}"
            );
            open(every_ipv4)
        }
        opened => opened,
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    if is_every_ipv6(address) {
        SockRef::from(&socket).set_only_v6(false)?;
    }
    // Connections of the last process may be in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_every_ipv6(address: SocketAddr) -> bool {
    address.ip() == Ipv6Addr::UNSPECIFIED
}

fn is_without_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn every_ipv4_address_is_opened_where_there_is_no_ipv6() {
        let open = |address: &str, errno: i32| {
            let tried = std::cell::RefCell::new(Vec::new());
            let address = address.parse().expect("an address");
            let opened = open_or_fall_back(address, "--listen", |address| {
                tried.borrow_mut().push(address.to_string());
                match address {
                    SocketAddr::V4(_) => Ok(()),
                    SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(errno)),
                }
            });
            (opened.is_ok(), tried.into_inner())
        };
        let (fell_back, both) = (true, vec!["[::]:7".to_owned(), "0.0.0.0:7".to_owned()]);
        // EAFNOSUPPORT and EADDRNOTAVAIL.
        assert_eq!(open("[::]:7", 97), (fell_back, both.clone()));
        assert_eq!(open("[::]:7", 99), (fell_back, both));
        // EADDRINUSE, and addresses that were meant.
        assert!(!open("[::]:7", 98).0);
        assert!(!open("[::1]:7", 97).0);
        assert!(!open("[::1]:7", 99).0);
    }

    #[tokio::test]
    async fn every_ipv6_address_accepts_ipv4_too() {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let (listener, address) = listen(any, "--listen").await.expect("a free port");
        let client = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, address.port()));
        let client = client.expect("connected").local_addr().expect("an address");
        let (_, peer) = listener.accept().await.expect("accepted");
        assert_eq!(peer.ip().to_canonical(), client.ip());
    }
}
