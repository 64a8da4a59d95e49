//! The bytes that one connection holds: its requests until they are answered, and its responses
//! until they are written to the socket.
//!
//! What a small request holds is within the connection's base, and touches nothing that other
//! connections use. Beyond it, memory is reserved in steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::client::Client;
use super::pool::Pool;

/// Bytes that each connection may hold whatever others do.
pub(super) const BASE_BYTES: usize = 64 << 10;

/// Memory is reserved in steps of this many bytes.
const STEP: usize = 16 << 10;

/// More than this is not kept for the next request.
const MAX_SPARE: usize = 64 << 10;

/// Open requests of a connection that cost no memory of others: most clients have no more.
const FREE_REQUESTS: usize = 32;

/// What each further one costs, with its stream, futures and headers.
const REQUEST_BYTES: usize = 4 << 10;

/// The account of one connection.
#[derive(Debug)]
pub(crate) struct Account {
    memory: Arc<Pool>,
    client: Arc<Client>,
    requests: AtomicUsize,
    received: AtomicUsize,
    unsent: AtomicUsize,
    /// What is taken of `memory`.
    reserved: AtomicUsize,
}

impl Account {
    pub(crate) fn new(memory: Arc<Pool>, client: Arc<Client>) -> Self {
        Self {
            memory,
            client,
            requests: AtomicUsize::new(0),
            received: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
        }
    }

    /// The client at the connection's address.
    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Adds an open request, which [`Self::close_request`] removes; returns whether there is memory
    /// for it.
    pub(crate) fn open_request(&self) -> bool {
        self.requests.fetch_add(1, Relaxed) < FREE_REQUESTS || self.is_covered() || self.reserve()
    }

    pub(crate) fn close_request(&self) {
        self.requests.fetch_sub(1, Relaxed);
        self.release();
    }

    pub(crate) fn open_requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// Adds bytes of a request; returns whether there is memory for them.
    pub(crate) fn receive(&self, bytes: usize) -> bool {
        self.take(&self.received, bytes)
    }

    /// Removes bytes of a request.
    pub(crate) fn forget_received(&self, bytes: usize) {
        self.give_back(&self.received, bytes);
    }

    /// Adds bytes of a response; returns whether there is memory for them.
    pub(crate) fn send(&self, bytes: usize) -> bool {
        self.take(&self.unsent, bytes)
    }

    /// Removes bytes of a response.
    pub(crate) fn forget_sent(&self, bytes: usize) {
        self.give_back(&self.unsent, bytes);
    }

    /// Bytes of responses that were not written to the socket yet.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent.load(Relaxed)
    }

    /// Bytes of requests and responses.
    pub(crate) fn bytes(&self) -> usize {
        self.received.load(Relaxed) + self.unsent.load(Relaxed)
    }

    /// Gives back what is reserved and not used.
    pub(crate) fn shrink(&self) {
        let target = self.beyond_base().next_multiple_of(STEP);
        // The closure returns `None` when there is nothing to give back.
        let before = self.reserved.fetch_update(Relaxed, Relaxed, |reserved| {
            (reserved > target).then_some(target)
        });
        if let Ok(before) = before {
            self.memory
                .give_back(Some(&self.client.bytes), before - target);
        }
    }

    fn take(&self, counter: &AtomicUsize, bytes: usize) -> bool {
        counter.fetch_add(bytes, Relaxed);
        let is_within = self.is_covered() || self.reserve();
        if !is_within {
            counter.fetch_sub(bytes, Relaxed);
        }
        is_within
    }

    fn give_back(&self, counter: &AtomicUsize, bytes: usize) {
        counter.fetch_sub(bytes, Relaxed);
        self.release();
    }

    fn release(&self) {
        let reserved = self.reserved.load(Relaxed);
        if reserved > MAX_SPARE && reserved - MAX_SPARE > self.beyond_base() {
            self.shrink();
        }
    }

    fn is_covered(&self) -> bool {
        self.beyond_base() <= self.reserved.load(Relaxed)
    }

    /// What the connection holds beyond its base.
    fn beyond_base(&self) -> usize {
        let requests = self.open_requests().saturating_sub(FREE_REQUESTS);
        (self.bytes() + requests * REQUEST_BYTES).saturating_sub(BASE_BYTES)
    }

    /// Reserves what is missing, rounded up to a step.
    #[cold]
    fn reserve(&self) -> bool {
        let reserved = self.reserved.load(Relaxed);
        let missing = self.beyond_base().saturating_sub(reserved);
        let missing = missing.next_multiple_of(STEP);
        let taken = self.memory.take(Some(&self.client.bytes), missing);
        if taken {
            self.reserved.fetch_add(missing, Relaxed);
        }
        taken
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let reserved = *self.reserved.get_mut();
        self.memory.give_back(Some(&self.client.bytes), reserved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn account(memory: &Arc<Pool>) -> Account {
        Account::new(Arc::clone(memory), Arc::default())
    }

    #[test]
    fn small_requests_take_nothing_of_what_is_shared() {
        let memory = Arc::new(Pool::new(0));
        let account = account(&memory);
        for _ in 0..FREE_REQUESTS {
            assert!(account.open_request() && account.receive(1000) && account.send(400));
        }
        assert!(!account.receive(BASE_BYTES), "{account:?}");
        assert_eq!(account.bytes(), FREE_REQUESTS * 1400);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn what_is_held_is_reserved_and_given_back() {
        let memory = Arc::new(Pool::new(8 * MIB));
        let greedy = account(&memory);
        let mut taken = 0;
        while greedy.receive(10_000) {
            taken += 10_000;
        }
        assert!((6 * MIB..8 * MIB).contains(&taken), "{taken}");
        assert!(memory.used() >= taken - BASE_BYTES);
        let polite = account(&memory);
        assert!(polite.send(200_000) && polite.receive(100_000));
        polite.forget_sent(200_000);
        polite.forget_received(100_000);
        greedy.forget_received(taken);
        assert!(memory.used() <= 2 * MAX_SPARE, "{memory:?}");
        greedy.shrink();
        drop(polite);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn many_open_requests_need_memory() {
        let memory = Arc::new(Pool::new(MIB));
        let account = account(&memory);
        let opened = (0..10_000).take_while(|_| account.open_request()).count();
        assert!((100..400).contains(&opened), "{opened}");
        // The one that was refused is closed too.
        (0..=opened).for_each(|_| account.close_request());
        account.shrink();
        assert_eq!((account.open_requests(), memory.used()), (0, 0));
    }
}
