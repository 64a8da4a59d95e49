//! What one request holds: a place among the requests in flight, and memory for its message. It
//! takes the place when its first message is complete, so that half a request costs the other
//! clients nothing, and returns both at the end of its response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use tonic::Status;

use crate::connection::ConnectionContext;
use crate::limits::{Client, Pool, Share, SharedLimits};

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
    limits: Arc<SharedLimits>,
    purpose: Purpose,
    client: Option<Arc<Client>>,
    connection: Option<Arc<ConnectionContext>>,
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
    /// For a request of `client` that arrived on `connection`.
    pub(crate) fn new(
        limits: &Arc<SharedLimits>,
        purpose: Purpose,
        client: Option<Arc<Client>>,
        connection: Option<Arc<ConnectionContext>>,
    ) -> Self {
        Self {
            limits: Arc::clone(limits),
            purpose,
            client,
            connection,
            state: AtomicU8::new(PENDING),
            received: AtomicUsize::new(0),
        }
    }

    /// Adds bytes of the request's message.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when there is no memory for them.
    pub(crate) fn receive(&self, bytes: usize) -> Result<(), Status> {
        let Some(connection) = &self.connection else {
            return Ok(());
        };
        if !connection.account.receive(bytes) {
            return Err(self.limits.no_memory());
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
        if let Some(connection) = &self.connection
            && self.received.load(Relaxed) > 0
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
            return Err(self.limits.no_place());
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
        // A place that was taken, or a request that has ended, stays so.
        let _ = self
            .state
            .compare_exchange(PENDING, ANSWERED, Relaxed, Relaxed);
    }

    /// Whether the client owes its first message.
    pub(crate) fn owes_message(&self) -> bool {
        self.state.load(Relaxed) == PENDING
    }

    /// The error when there is no memory for the response.
    pub(crate) fn no_memory(&self) -> Status {
        self.limits.no_memory()
    }

    /// Counts the request as one whose message arrived too slowly.
    pub(crate) fn slow(&self) {
        self.limits.slow();
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

    /// The connection, if the request makes it busy.
    fn worked_on(&self) -> Option<&ConnectionContext> {
        let connection = self.connection.as_deref();
        connection.filter(|_| self.purpose == Purpose::Work)
    }

    fn pool(&self) -> Option<(&Pool, Option<&Share>)> {
        let client = self.client.as_deref();
        match self.purpose {
            Purpose::Probe => None,
            Purpose::Watch => Some((&self.limits.watches, client.map(|it| &it.watches))),
            Purpose::Work => Some((&self.limits.places, client.map(|it| &it.places))),
        }
    }

    fn give_back(&self) {
        if let Some((pool, share)) = self.pool() {
            pool.give_back(share, 1);
        }
    }
}

/// A request whose handling was abandoned.
impl Drop for Place {
    fn drop(&mut self) {
        self.end();
    }
}
