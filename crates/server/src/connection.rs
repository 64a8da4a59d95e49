//! What the requests of one connection share: the client's address, the end of the connection's
//! long streams, and its budget of cancelled requests.

mod cancellations;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use cancellations::CancellationBudget;

/// The age of a connection is up to this share longer or shorter than the setting, so that
/// connections opened together, such as after a rolling update, do not all end together.
const AGE_JITTER: f64 = 0.1;

/// The state of one connection, shared by its requests.
#[derive(Debug)]
pub(crate) struct ConnectionContext {
    /// Address of the client. An IPv4 client of an IPv6 port has its IPv4 address.
    pub(crate) peer: IpAddr,
    /// Cancelled when the connection takes no further requests: long streams must end then.
    pub(crate) retired: CancellationToken,
    /// Cancelled when the client has exceeded the budget of cancelled requests.
    pub(crate) abused: CancellationToken,
    cancellations: CancellationBudget,
}

impl ConnectionContext {
    /// A connection from `peer` whose long streams end at `shutdown` at the latest.
    pub(crate) fn new(peer: SocketAddr, shutdown: &CancellationToken) -> Self {
        Self {
            peer: peer.ip().to_canonical(),
            retired: shutdown.child_token(),
            abused: CancellationToken::new(),
            cancellations: CancellationBudget::new(Instant::now()),
        }
    }

    /// Accounts for a request that was answered.
    pub(crate) fn request_answered(&self) {
        self.cancellations.refund_answer();
    }

    /// Accounts for a request that its client cancelled at `now`.
    pub(crate) fn request_cancelled(&self, now: Instant) {
        if self.cancellations.charge(now).is_err() {
            self.abused.cancel();
        }
    }
}

/// `age` with its jitter; `random` is from 0 to 1.
pub(crate) fn jittered(age: Duration, random: f64) -> Duration {
    age.mul_f64(1.0 - AGE_JITTER + 2.0 * AGE_JITTER * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_connection_varies_by_a_tenth() {
        let age = Duration::from_secs(100);
        for (random, expected) in [(0.0, 90), (0.5, 100), (1.0, 110)] {
            let jittered = jittered(age, random).as_secs_f64();
            assert!((jittered - f64::from(expected)).abs() < 1e-6, "{jittered}");
        }
        let mut random = fastrand::Rng::with_seed(7);
        let ages: Vec<_> = (0..1000).map(|_| jittered(age, random.f64())).collect();
        let (min, max) = (ages.iter().min(), ages.iter().max());
        assert!(min < Some(&Duration::from_secs(91)), "{min:?}");
        assert!(max > Some(&Duration::from_secs(109)), "{max:?}");
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_port_has_its_ipv4_address() {
        let shutdown = CancellationToken::new();
        for (address, expected) in [
            ("[::ffff:10.1.2.3]:4", "10.1.2.3"),
            ("10.1.2.3:4", "10.1.2.3"),
            ("[fd00::7]:4", "fd00::7"),
        ] {
            let address = address.parse().expect("an address");
            let context = ConnectionContext::new(address, &shutdown);
            assert_eq!(context.peer.to_string(), expected);
        }
    }
}
