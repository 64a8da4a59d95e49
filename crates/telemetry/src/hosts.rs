//! Host names under which a port on the loopback answers browsers.
//!
//! A port on the loopback is out of reach from elsewhere, except through a browser on this machine
//! that was given a name resolving to 127.0.0.1 (DNS rebinding). Such a request carries the foreign
//! name, by which it is recognized.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// The hosts that a request may name: those of the loopback, and further ones.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Arc<[AllowedHost]>);

/// A host name, or an address; an IPv4 address mapped to IPv6 (`::ffff:a.b.c.d`) is the IPv4
/// address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedHost {
    /// A name, in lower case.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// A text that is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a host name or an IP address, without scheme and port, such as host.docker.internal"
)]
pub struct InvalidHost;

impl AllowedHosts {
    /// The loopback and `further` hosts.
    #[must_use]
    pub fn new(further: Vec<AllowedHost>) -> Self {
        Self(further.into())
    }

    /// Whether an HTTP `Host` (or `:authority`) is allowed, with or without a port. Always allowed
    /// are `localhost`, `127.0.0.0/8` and `[::1]`.
    #[must_use]
    pub fn allow(&self, host: &str) -> bool {
        let host = AllowedHost::of_authority(host);
        host.is_some_and(|host| host.is_loopback() || self.0.contains(&host))
    }
}

impl AllowedHost {
    /// The host of `host`, `host:port`, `[address]` or `[address]:port`.
    fn of_authority(text: &str) -> Option<Self> {
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(rest) = text.strip_prefix('[') {
            let (inner, port) = rest.split_once(']')?;
            let port = port.strip_prefix(':').unwrap_or(port);
            let address: IpAddr = inner.parse().ok()?;
            return is_port(port).then(|| Self::Address(address.to_canonical()));
        }
        let host = match text.rsplit_once(':') {
            Some((host, port)) if is_port(port) => host,
            Some(_) => return None,
            None => text,
        };
        Some(match host.parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Name(host.to_ascii_lowercase()),
        })
    }

    fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::Address(address) => address.is_loopback(),
        }
    }
}

impl FromStr for AllowedHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let text = text.trim();
        let unbracketed = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        if let Ok(address) = unbracketed.unwrap_or(text).parse::<IpAddr>() {
            return Ok(Self::Address(address.to_canonical()));
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_name) {
            return Err(InvalidHost);
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(further: &[&str]) -> AllowedHosts {
        let further = further.iter().map(|it| it.parse().expect("a host"));
        AllowedHosts::new(further.collect())
    }

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
            "[::ffff:127.0.0.1]:9051",
        ] {
            assert!(hosts(&[]).allow(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9051",
            "localhost.evil.example",
            "10.0.0.1",
            "127.0.0.1.evil.example",
            "[::2]:1",
            "[::1]evil.example",
            "[::1",
            "[",
            "a:b:c",
            "localhost:80x",
        ] {
            assert!(!hosts(&[]).allow(host), "{host}");
        }
    }

    #[test]
    fn further_hosts_are_allowed_by_name_or_address() {
        let hosts = hosts(&[
            "host.docker.internal",
            "10.1.2.3",
            "[::ffff:10.1.2.4]",
            "fd00::7",
        ]);
        for host in [
            "host.docker.internal",
            "Host.Docker.Internal:50052",
            "10.1.2.3:80",
            "[::ffff:10.1.2.3]",
            "10.1.2.4",
            "[fd00::7]:1",
            "localhost",
        ] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in [
            "docker.internal",
            "a.host.docker.internal",
            "10.1.2.5",
            "[fd00::8]",
        ] {
            assert!(!hosts.allow(host), "{host}");
        }
    }

    #[test]
    fn a_text_that_is_no_host_is_refused() {
        for text in ["", "http://a", "a:80", "a/b", "*", "a b", "[::1]:80", "a,b"] {
            assert_eq!(text.parse::<AllowedHost>(), Err(InvalidHost), "{text}");
        }
    }
}
