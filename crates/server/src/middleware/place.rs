//! What one request holds: a place among the requests in flight, and memory for its message. It
//! takes the place when its first message is complete, so that half a request costs the other
//! clients nothing, and returns both at the end of its response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use tonic::Status;

use crate::connection::OpenRequest;
use crate::limits::{Client, Pool, Share, SharedLimits};

/// Where a request comes from.
pub(crate) enum Origin {
    /// A connection, on which it is open.
    Connection(OpenRequest),
    /// This process, behind a port with these limits.
    Process(Arc<SharedLimits>),
}

/// What a request needs a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Probes: none, because they are answered under any load.
    Probe,
    /// A health watch.
    Watch,
    /// Everything else.
    Work,
}

/// The place of one request, shared by its body, which takes it, and its guard, which returns it.
pub(crate) struct Place {
    origin: Origin,
    purpose: Purpose,
    /// The client by its identity; without one it is the client at the connection's address.
    identity: Option<Arc<Client>>,
    state: AtomicU8,
    /// Bytes of the current message.
    received: AtomicUsize,
}

/// The first message is not complete.
const PENDING: u8 = 0;
/// The response has begun before the first message: a stream, whose client may be quiet.
const ANSWERED: u8 = 1;
/// The request has a place.
const TAKEN: u8 = 2;
/// The request has ended.
const ENDED: u8 = 3;

impl Place {
    /// For a request whose client has the identity of this name.
    pub(crate) fn new(origin: Origin, purpose: Purpose, name: Option<&Arc<str>>) -> Self {
        let identity = match &origin {
            Origin::Connection(open) => name.map(|name| open.client_with(name)),
            Origin::Process(_) => None,
        };
        Self {
            origin,
            purpose,
            identity,
            state: AtomicU8::new(PENDING),
            received: AtomicUsize::new(0),
        }
    }

    /// Adds bytes of the request's message.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when there is no memory for them.
    pub(crate) fn receive(&self, bytes: usize) -> Result<(), Status> {
        let Some(connection) = self.connection() else {
            return Ok(());
        };
        if !connection.account.receive(bytes) {
            return Err(self.limits().no_memory());
        }
        self.received.fetch_add(bytes, Relaxed);
        if self.state.load(Relaxed) == ENDED {
            self.forget_received();
        }
        Ok(())
    }

    /// Forgets the bytes of the last message, because the next one begins.
    pub(crate) fn forget_received(&self) {
        // Mostly nothing: a load costs less than a swap.
        if self.received.load(Relaxed) > 0
            && let Some(connection) = self.connection()
        {
            let received = self.received.swap(0, Relaxed);
            connection.account.forget_received(received);
        }
    }

    /// Takes the place, because the first message is complete.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when too many requests are in flight.
    pub(crate) fn take(&self) -> Result<(), Status> {
        if self.state.load(Relaxed) >= TAKEN {
            return Ok(());
        }
        if let Some((pool, share)) = self.pool()
            && !pool.take(share, 1)
        {
            return Err(self.limits().no_place());
        }
        if self.state.swap(TAKEN, Relaxed) == ENDED {
            // Its guard has ended it on another thread.
            self.state.store(ENDED, Relaxed);
            self.give_back();
        } else if let Some(connection) = self.worked_on() {
            connection.activity.place_taken();
        }
        Ok(())
    }

    /// Notes that the response has begun.
    pub(crate) fn answered(&self) {
        // Mostly taken before: a load costs less than an exchange.
        if self.owes_message() {
            // A place that was taken, or a request that has ended, stays so.
            let _ = self
                .state
                .compare_exchange(PENDING, ANSWERED, Relaxed, Relaxed);
        }
    }

    /// Whether the client owes its first message.
    pub(crate) fn owes_message(&self) -> bool {
        self.state.load(Relaxed) == PENDING
    }

    /// `bytes` of the response, which count until they are sent.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when there is no memory for them.
    pub(crate) fn respond(&self, bytes: Bytes) -> Result<Bytes, Status> {
        let Some(connection) = self.connection() else {
            return Ok(bytes);
        };
        let unsent = connection.unsent(bytes);
        unsent.ok_or_else(|| self.limits().no_memory())
    }

    /// Counts the request as one whose message arrived too slowly.
    pub(crate) fn slow(&self) {
        self.limits().slow();
    }

    /// Returns what the request holds.
    pub(crate) fn end(&self) {
        if self.state.swap(ENDED, Relaxed) == TAKEN {
            self.give_back();
            if let Some(connection) = self.worked_on() {
                connection.activity.place_returned();
            }
        }
        self.forget_received();
    }

    /// The request on its connection; `None` for one of this process.
    pub(crate) fn connection(&self) -> Option<&OpenRequest> {
        match &self.origin {
            Origin::Connection(open) => Some(open),
            Origin::Process(_) => None,
        }
    }

    /// The connection, if the request makes it busy.
    fn worked_on(&self) -> Option<&OpenRequest> {
        let connection = self.connection();
        connection.filter(|_| self.purpose == Purpose::Work)
    }

    fn limits(&self) -> &SharedLimits {
        match &self.origin {
            Origin::Connection(open) => &open.limits,
            Origin::Process(limits) => limits,
        }
    }

    fn pool(&self) -> Option<(&Pool, Option<&Share>)> {
        let limits = self.limits();
        let at_address = || self.connection().map(|it| it.account.client());
        let client = self.identity.as_ref().or_else(at_address);
        match self.purpose {
            Purpose::Probe => None,
            Purpose::Watch => Some((&limits.watches, client.map(|it| &it.watches))),
            Purpose::Work => Some((&limits.places, client.map(|it| &it.places))),
        }
    }

    fn give_back(&self) {
        if let Some((pool, share)) = self.pool() {
            pool.give_back(share, 1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if *self.state.get_mut() == ENDED {
            // Bytes that arrived at the same moment.
            self.forget_received();
        } else {
            // Its handling was abandoned.
            self.end();
        }
    }
}
