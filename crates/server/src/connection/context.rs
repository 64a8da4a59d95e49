//! What the requests of one connection share: the client's address, what the connection does, the
//! end of its long streams, and its budget of cancelled requests.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Standing};
use super::cancellations::CancellationBudget;
use crate::credentials::ClientCertificate;
use crate::limits::{Account, Client, SharedLimits};

/// The age of a connection is up to this share longer or shorter than the setting, so that
/// connections opened together, such as after a rolling update, do not all end together.
const AGE_JITTER: f64 = 0.1;

/// Why the server closes a connection before its client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// Another connection needed its place, and it was not in use.
    Displaced,
    /// No request, and no HTTP/2 preface, arrived in time.
    Silent,
    /// The client does not read its responses.
    Unread,
    /// The client cancels requests without end.
    Resets,
}

/// The state of one connection, shared by its requests.
#[derive(Debug)]
pub(crate) struct ConnectionContext {
    /// Address of the client. An IPv4 client of an IPv6 port has its IPv4 address.
    pub(crate) peer: IpAddr,
    /// Cancelled when the connection takes no further requests: long streams must end then.
    pub(crate) retired: CancellationToken,
    /// What the connection does.
    pub(crate) activity: Activity,
    /// What it holds.
    pub(crate) account: Account,
    /// Those of the port.
    pub(crate) limits: Arc<SharedLimits>,
    /// What the client presented in the handshake; only where its names have roles.
    certificate: OnceLock<ClientCertificate>,
    /// The client by its first identity.
    identity: OnceLock<(Arc<str>, Arc<Client>)>,
    /// Cancelled when `reason` is set.
    closed: CancellationToken,
    reason: OnceLock<CloseReason>,
    cancellations: CancellationBudget,
}

impl ConnectionContext {
    /// A connection of `client` from `peer`, whose long streams end at `shutdown` at the latest.
    pub(crate) fn new(
        peer: SocketAddr,
        client: &Arc<Client>,
        limits: &Arc<SharedLimits>,
        shutdown: &CancellationToken,
    ) -> Self {
        let now = Instant::now();
        Self {
            peer: peer.ip().to_canonical(),
            retired: shutdown.child_token(),
            activity: Activity::new(now),
            account: Account::new(Arc::clone(&limits.memory), Arc::clone(client)),
            limits: Arc::clone(limits),
            certificate: OnceLock::new(),
            identity: OnceLock::new(),
            closed: CancellationToken::new(),
            reason: OnceLock::new(),
            cancellations: CancellationBudget::new(now),
        }
    }

    /// Notes the certificate that the client presented.
    pub(crate) fn identify(&self, certificate: ClientCertificate) {
        // There is one handshake.
        let _ = self.certificate.set(certificate);
    }

    /// The certificate that the client presented, where its names have roles.
    pub(crate) fn certificate(&self) -> Option<&ClientCertificate> {
        self.certificate.get()
    }

    /// The client at the connection's address that has the identity of this name.
    pub(crate) fn client_with(&self, name: &Arc<str>) -> Arc<Client> {
        let client = self.account.client();
        // Most connections use one identity.
        let new = || (Arc::clone(name), client.with_identity(name));
        match self.identity.get_or_init(new) {
            (known, client) if known == name => Arc::clone(client),
            _ => client.with_identity(name),
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        self.activity.standing(self.account.open_requests())
    }

    /// Whether bytes wait for the client to read them.
    pub(crate) fn has_unsent(&self) -> bool {
        self.activity.is_blocked() || self.account.unsent() > 0
    }

    /// Asks the connection's task to close it. The first reason counts.
    pub(crate) fn close(&self, reason: CloseReason) {
        let _ = self.reason.set(reason);
        self.closed.cancel();
    }

    /// Waits until the connection must be closed.
    pub(crate) async fn must_close(&self) -> CloseReason {
        self.closed.cancelled().await;
        // It is set before the token is cancelled.
        self.reason.get().copied().unwrap_or(CloseReason::Displaced)
    }

    /// Accounts for a request that was answered.
    pub(crate) fn request_answered(&self) {
        self.cancellations.refund_answer();
    }

    /// Accounts for a request that its client cancelled at `now`.
    pub(crate) fn request_cancelled(&self, now: Instant) {
        if self.cancellations.charge(now).is_err() {
            self.close(CloseReason::Resets);
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
    use crate::config::ServerConfig;

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
        let limits = Arc::new(SharedLimits::new(&ServerConfig::default(), "t"));
        for (address, expected) in [
            ("[::ffff:10.1.2.3]:4", "10.1.2.3"),
            ("10.1.2.3:4", "10.1.2.3"),
            ("[fd00::7]:4", "fd00::7"),
        ] {
            let address = address.parse().expect("an address");
            let context = ConnectionContext::new(address, &Arc::default(), &limits, &shutdown);
            assert_eq!(context.peer.to_string(), expected);
        }
    }
}
