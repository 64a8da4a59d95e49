//! The limits of a port, and the counters of what they refuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use metrics::{Counter, Unit};
use tonic::Status;

use super::account::BASE_BYTES;
use super::pool::Pool;
use crate::config::ServerConfig;
use crate::status::retry_status;

/// After this, a client whose request was over a limit should try again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// As many of the largest messages fit into memory at one time, whatever the setting.
const LARGEST_MESSAGES: usize = 4;

/// The limits of a port.
#[derive(Debug)]
pub(crate) struct SharedLimits {
    /// Requests in flight.
    pub(crate) places: Pool,
    /// Health watches.
    pub(crate) watches: Pool,
    /// Bytes of requests and responses beyond what each connection may always hold.
    pub(crate) memory: Arc<Pool>,
    in_flight: Counter,
    bytes: Counter,
    slow: Counter,
    /// Whether a request was refused for want of a place, or of memory.
    has_refused: [AtomicBool; 2],
}

impl SharedLimits {
    /// The limits of `config`; declares the metric `<prefix>_requests_refused_total{reason}`.
    pub(crate) fn new(config: &ServerConfig, prefix: &'static str) -> Self {
        let name = format!("{prefix}_requests_refused_total");
        metrics::describe_counter!(
            name.clone(),
            Unit::Count,
            "requests that a limit of the gRPC port refused or ended, by reason"
        );
        let refused = |reason| metrics::counter!(name.clone(), "reason" => reason);
        Self {
            places: Pool::new(config.max_in_flight),
            watches: Pool::new(config.max_health_watches),
            memory: Arc::new(Pool::new(memory(config))),
            in_flight: refused("in_flight"),
            bytes: refused("bytes"),
            slow: refused("slow"),
            has_refused: Default::default(),
        }
    }

    /// The error of a request for which there is no place.
    pub(crate) fn no_place(&self) -> Status {
        self.in_flight.increment(1);
        self.has_refused[0].store(true, Relaxed);
        retry_status("too many requests in flight; try again", RETRY_AFTER)
    }

    /// The error of a request for whose bytes there is no memory.
    pub(crate) fn no_memory(&self) -> Status {
        self.bytes.increment(1);
        self.has_refused[1].store(true, Relaxed);
        retry_status("too many bytes in flight; try again", RETRY_AFTER)
    }

    /// What was full since the last call.
    pub(crate) fn take_refused(&self) -> Option<&'static str> {
        let [places, bytes] = self
            .has_refused
            .each_ref()
            .map(|it| it.swap(false, Relaxed));
        let full = places.then_some("requests in flight");
        full.or(bytes.then_some("bytes in flight"))
    }

    /// Counts a request whose message arrived too slowly.
    pub(crate) fn slow(&self) {
        self.slow.increment(1);
    }
}

/// Memory for what connections hold beyond their first bytes.
fn memory(config: &ServerConfig) -> usize {
    let max = config.max_bytes_in_flight;
    let base = config.max_connections.saturating_mul(BASE_BYTES);
    let largest = config.max_message_bytes.saturating_mul(LARGEST_MESSAGES);
    max.saturating_sub(base).max(max / 2).max(largest)
}
