//! Counts the requests of a connection and the bytes that it carries, in relaxed atomics.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Bytes after which a client has begun to speak: the length of the HTTP/2 preface (RFC 9113,
/// section 3.4). HTTP/1.1 has a time limit of its own for the headers.
const PREFACE_BYTES: u64 = 24;

/// How much a connection would be missed, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// It has sent no request and no preface.
    Silent,
    /// It has no open request.
    Idle,
    /// None of its requests is complete, or they are quiet streams such as health watches.
    Waiting,
    /// It has requests that are being answered.
    Busy,
}

impl Standing {
    /// All of them, in their order, with their names in metrics.
    pub(crate) const ALL: [(Self, &str); 4] = [
        (Self::Silent, "silent"),
        (Self::Idle, "idle"),
        (Self::Waiting, "waiting"),
        (Self::Busy, "busy"),
    ];
}

/// Counters of one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    /// When the last request arrived, in nanoseconds after `opened`; 0 before the first.
    last_request: AtomicU64,
    /// Requests with a place under the limit on requests in flight.
    places: AtomicU32,
    read: AtomicU64,
    written: AtomicU64,
    /// The socket takes no more bytes.
    blocked: AtomicBool,
}

impl Activity {
    pub(super) fn new(opened: Instant) -> Self {
        Self {
            opened,
            last_request: AtomicU64::new(0),
            places: AtomicU32::new(0),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
        }
    }

    /// Accounts for a request that arrived at `now`.
    pub(crate) fn request_arrived(&self, now: Instant) {
        let since = now.saturating_duration_since(self.opened).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.last_request.store(since.max(1), Relaxed);
    }

    /// Accounts for a request that took a place under the limit.
    pub(crate) fn place_taken(&self) {
        self.places.fetch_add(1, Relaxed);
    }

    /// Accounts for a request that returned its place.
    pub(crate) fn place_returned(&self) {
        self.places.fetch_sub(1, Relaxed);
    }

    /// When the last request arrived; when the connection was accepted, before the first.
    pub(crate) fn last_used(&self) -> Instant {
        self.opened + Duration::from_nanos(self.last_request.load(Relaxed))
    }

    /// What a connection with this many open requests does.
    pub(super) fn standing(&self, requests: usize) -> Standing {
        if self.is_silent() {
            Standing::Silent
        } else if requests == 0 {
            Standing::Idle
        } else if self.places.load(Relaxed) == 0 {
            Standing::Waiting
        } else {
            Standing::Busy
        }
    }

    /// Whether the client has not begun to speak.
    pub(crate) fn is_silent(&self) -> bool {
        self.last_request.load(Relaxed) == 0 && self.read.load(Relaxed) < PREFACE_BYTES
    }

    /// Whether the socket takes no more bytes, because the client does not read.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    // The socket has a single user, so a load and a store are enough.
    pub(super) fn add_read(&self, bytes: usize) {
        let read = self.read.load(Relaxed) + bytes as u64;
        self.read.store(read, Relaxed);
    }

    pub(super) fn add_written(&self, bytes: usize) {
        let written = self.written.load(Relaxed) + bytes as u64;
        self.written.store(written, Relaxed);
    }

    pub(super) fn set_blocked(&self, blocked: bool) {
        // Mostly unchanged: a load keeps the cache line shared.
        if self.blocked.load(Relaxed) != blocked {
            self.blocked.store(blocked, Relaxed);
        }
    }
}
