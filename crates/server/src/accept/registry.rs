//! The open connections of a port. When places run out, it closes those that are not in use before
//! it refuses a new one, and keeps places from a single client.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::metrics::{ConnectionMetrics, Refusal};
use crate::connection::{CloseReason, ConnectionContext, Standing};
use crate::limits::{Client, SharedLimits};

/// The last one in this many places is kept from a client that holds all others.
const KEPT_FROM_ONE: usize = 8;

/// Connections over the limit, at most, while those end whose places they take.
const MAX_DISPLACED: usize = 128;

/// What a new connection has sent may not have been read for this long; until then it is no worse
/// than one without a request.
const FIRST_TURN: Duration = Duration::from_millis(20);

/// The open connections of a port.
pub(crate) struct Registry {
    max_connections: usize,
    limits: Arc<SharedLimits>,
    shutdown: CancellationToken,
    metrics: ConnectionMetrics,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Entry>,
    /// Connections that were asked to end, so that another one has their place.
    displaced: usize,
    clients: HashMap<IpAddr, Connected>,
}

/// A client that has connections.
#[derive(Default)]
struct Connected {
    connections: usize,
    client: Arc<Client>,
}

struct Entry {
    context: Arc<ConnectionContext>,
    client: IpAddr,
    is_displaced: bool,
}

/// A connection with a place, which it returns when it is dropped.
pub(crate) struct Admitted {
    context: Arc<ConnectionContext>,
    number: u64,
    registry: Arc<Registry>,
}

impl Registry {
    /// For at most `max_connections`, whose long streams end when `shutdown` is cancelled.
    pub(crate) fn new(
        max_connections: usize,
        limits: Arc<SharedLimits>,
        shutdown: CancellationToken,
        metrics: ConnectionMetrics,
    ) -> Self {
        Self {
            max_connections,
            limits,
            shutdown,
            metrics,
            open: Mutex::default(),
        }
    }

    /// Whether a further connection may take the place of one that is not in use.
    pub(super) fn can_make_room(&self) -> bool {
        self.open().displaced < MAX_DISPLACED
    }

    /// Gives a place to a connection from `peer`; `None` when it must be closed.
    pub(super) fn admit(self: &Arc<Self>, peer: SocketAddr) -> Option<Admitted> {
        let client = client_of(peer);
        let mut open = self.open();
        if let Err(refusal) = open.make_room(client, self.max_connections) {
            drop(open);
            self.refused(refusal, Some(peer));
            return None;
        }
        let connected = open.clients.entry(client).or_default();
        connected.connections += 1;
        let context = ConnectionContext::new(peer, &connected.client, &self.limits, &self.shutdown);
        let context = Arc::new(context);
        let number = open.next;
        open.next += 1;
        let entry = Entry {
            context: Arc::clone(&context),
            client,
            is_displaced: false,
        };
        open.connections.insert(number, entry);
        Some(Admitted {
            context,
            number,
            registry: Arc::clone(self),
        })
    }

    /// Accounts for a connection that was closed when it was accepted.
    pub(super) fn refused(&self, refusal: Refusal, peer: Option<SocketAddr>) {
        self.metrics.refused(refusal, peer);
    }

    /// Reports how many connections there are, by what they do. Returns what was full since the
    /// last report.
    pub(super) fn report(&self) -> Option<&'static str> {
        let (mut counts, mut bytes) = ([0; Standing::ALL.len()], 0);
        for entry in self.open().connections.values() {
            counts[entry.context.standing() as usize] += 1;
            bytes += entry.context.account.bytes();
        }
        self.metrics.report(counts, bytes);
        let full = self.metrics.take_refused().then_some("connections");
        full.or(self.limits.take_refused())
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Makes sure that `client` may have a further connection.
    fn make_room(&mut self, client: IpAddr, max: usize) -> Result<(), Refusal> {
        let own = self.clients.get(&client).map_or(0, |it| it.connections);
        let has_share = own >= max - max / KEPT_FROM_ONE;
        let refusal = match self.connections.len() - self.displaced >= max {
            true => Refusal::Full,
            false if has_share => Refusal::Share,
            false => return Ok(()),
        };
        if self.displaced >= MAX_DISPLACED {
            return Err(refusal);
        }
        let may_go = |it: &&mut Entry| !it.is_displaced && (!has_share || it.client == client);
        let clients = &self.clients;
        let order = |it: &Entry| {
            let connections = clients[&it.client].connections;
            let last_used = it.context.activity.last_used();
            let standing = match it.context.standing() {
                Standing::Silent if last_used.elapsed() < FIRST_TURN => Standing::Idle,
                other => other,
            };
            (standing, Reverse(connections), last_used)
        };
        let least = self.connections.values_mut().filter(may_go);
        let least = least.min_by_key(|it| order(it)).ok_or(refusal)?;
        if least.context.standing() == Standing::Busy {
            return Err(refusal);
        }
        least.is_displaced = true;
        self.displaced += 1;
        least.context.close(CloseReason::Displaced);
        Ok(())
    }

    fn remove(&mut self, number: u64) {
        let Some(entry) = self.connections.remove(&number) else {
            return;
        };
        self.displaced -= usize::from(entry.is_displaced);
        if let Some(connected) = self.clients.get_mut(&entry.client) {
            connected.connections -= 1;
            if connected.connections == 0 {
                self.clients.remove(&entry.client);
            }
        }
    }
}

impl Admitted {
    /// What the requests of the connection share.
    pub(crate) fn context(&self) -> &Arc<ConnectionContext> {
        &self.context
    }

    /// Accounts for the connection as one that the server closed.
    pub(crate) fn closed(&self, reason: CloseReason) {
        self.registry.metrics.closed(reason, self.context.peer);
    }
}

impl Deref for Admitted {
    type Target = ConnectionContext;

    fn deref(&self) -> &ConnectionContext {
        &self.context
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.registry.open().remove(self.number);
    }
}

/// The client behind an address: of IPv6 its network of 64 bits, all of which a single machine may
/// use.
fn client_of(peer: SocketAddr) -> IpAddr {
    match peer.ip().to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}
