//! Metrics of the open connections, and log lines of those that the server refuses or closes.

use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Unit};

use crate::connection::{CloseReason, Standing};

/// Why a connection is closed as soon as it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// All places are taken by connections that are in use.
    Full,
    /// The client holds its share of the places.
    Share,
    /// The process has no file descriptor left.
    Descriptors,
}

/// Interval at which refused connections are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What of refused connections is not logged yet.
#[derive(Debug, Default)]
struct Unlogged {
    connections: u64,
    /// When the last line was written.
    logged: Option<Instant>,
}

impl Unlogged {
    /// Adds a connection that was refused at `now`; returns how many a line is due for.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.connections += 1;
        let due = self.logged.is_none_or(|at| now - at >= LOG_INTERVAL);
        due.then(|| {
            self.logged = Some(now);
            mem::take(&mut self.connections)
        })
    }
}

/// The metrics `<prefix>_connections{state}`, `<prefix>_bytes_in_flight`,
/// `<prefix>_connections_refused_total{reason}` and `<prefix>_connections_closed_total{reason}`.
pub(crate) struct ConnectionMetrics {
    open: [Gauge; Standing::ALL.len()],
    bytes: Gauge,
    full: Counter,
    share: Counter,
    descriptors: Counter,
    unlogged: Mutex<Unlogged>,
    has_refused: AtomicBool,
    displaced: Counter,
    silent: Counter,
    unread: Counter,
    resets: Counter,
}

impl ConnectionMetrics {
    /// Declares them under `prefix`, such as `digits_trainer`.
    pub(crate) fn new(prefix: &'static str) -> Self {
        let open = format!("{prefix}_connections");
        let bytes = format!("{prefix}_bytes_in_flight");
        let refused = format!("{prefix}_connections_refused_total");
        let closed = format!("{prefix}_connections_closed_total");
        metrics::describe_gauge!(
            open.clone(),
            Unit::Count,
            "open connections of the gRPC port, by what their clients do"
        );
        metrics::describe_gauge!(
            bytes.clone(),
            Unit::Bytes,
            "requests and responses that the gRPC port holds, in bytes"
        );
        metrics::describe_counter!(
            refused.clone(),
            Unit::Count,
            "connections that were closed when they were accepted, by reason"
        );
        metrics::describe_counter!(
            closed.clone(),
            Unit::Count,
            "connections that the server closed although their clients kept them open, by reason"
        );
        let refused = |reason| metrics::counter!(refused.clone(), "reason" => reason);
        let closed = |reason| metrics::counter!(closed.clone(), "reason" => reason);
        Self {
            open: Standing::ALL.map(|(_, state)| metrics::gauge!(open.clone(), "state" => state)),
            bytes: metrics::gauge!(bytes),
            full: refused("full"),
            share: refused("share"),
            descriptors: refused("descriptors"),
            unlogged: Mutex::default(),
            has_refused: AtomicBool::new(false),
            displaced: closed("displaced"),
            silent: closed("silent"),
            unread: closed("unread"),
            resets: closed("resets"),
        }
    }

    /// Sets the numbers of open connections, in the order of [`Standing::ALL`], and the bytes that
    /// they hold.
    pub(super) fn report(&self, counts: [u32; Standing::ALL.len()], bytes: usize) {
        self.bytes.set(bytes as f64);
        for (gauge, count) in self.open.iter().zip(counts) {
            gauge.set(f64::from(count));
        }
    }

    /// Whether a connection was refused since the last call.
    pub(super) fn take_refused(&self) -> bool {
        self.has_refused.swap(false, Relaxed)
    }

    pub(super) fn refused(&self, refusal: Refusal, peer: Option<SocketAddr>) {
        let (counter, text) = match refusal {
            Refusal::Full => (&self.full, "all places are taken by connections in use"),
            Refusal::Share => (&self.share, "one client holds its share of the places"),
            Refusal::Descriptors => (
                &self.descriptors,
                "no file descriptor is left; raise the limit (ulimit -n, LimitNOFILE=)",
            ),
        };
        counter.increment(1);
        self.has_refused.store(true, Relaxed);
        let mut unlogged = self.unlogged.lock().unwrap_or_else(PoisonError::into_inner);
        let due = unlogged.add(Instant::now());
        drop(unlogged);
        if let Some(connections) = due {
            let peer = peer.map(tracing::field::display);
            tracing::warn!(peer, connections, "connections refused: {text}");
        }
    }

    pub(super) fn closed(&self, reason: CloseReason, peer: IpAddr) {
        let (counter, text) = match reason {
            CloseReason::Displaced => (&self.displaced, "another connection needs its place"),
            CloseReason::Silent => (&self.silent, "no request arrived in time"),
            CloseReason::Unread => (&self.unread, "its client does not read the responses"),
            CloseReason::Resets => (&self.resets, "its client cancels requests without end"),
        };
        counter.increment(1);
        match reason {
            CloseReason::Resets => tracing::warn!(%peer, "connection closed: {text}"),
            _ => tracing::debug!(%peer, "connection closed: {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_connections_are_logged_at_intervals() {
        let (mut unlogged, start) = (Unlogged::default(), Instant::now());
        let mut add = |seconds| unlogged.add(start + Duration::from_secs(seconds));
        assert_eq!(add(0), Some(1));
        assert_eq!((add(1), add(2), add(9)), (None, None, None));
        assert_eq!(add(10), Some(4));
        assert_eq!(add(11), None);
        assert_eq!(add(100), Some(2));
    }
}
