//! Metrics of the webhooks. They exist, as 0, without --webhook too.

use metrics::{Counter, Gauge, counter, gauge};
use std::{sync::Arc, time::Duration};

const DROPPED: &str = "digits_trainer_webhook_events_dropped_total";

/// The label `reason` of dropped events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventDropReason {
    /// Too many events waited for the receiver; the oldest are dropped.
    BacklogFull,
    /// The receiver refused the event itself.
    Refused,
    /// The receiver did not accept it until it was too old.
    Expired,
}

impl EventDropReason {
    const ALL: [Self; 3] = [Self::BacklogFull, Self::Refused, Self::Expired];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BacklogFull => "backlog_full",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

/// Handles; cheap to clone.
#[derive(Clone)]
pub struct WebhookMetrics {
    delivered: Counter,
    failures: Counter,
    dropped: Arc<[(EventDropReason, Counter)]>,
    waiting: Gauge,
    oldest: Gauge,
}

impl WebhookMetrics {
    /// Looks the handles up. Call it after the recorder was installed.
    #[must_use]
    pub fn new() -> Self {
        let dropped =
            |reason: EventDropReason| (reason, counter!(DROPPED, "reason" => reason.as_str()));
        Self {
            delivered: counter!("digits_trainer_webhook_events_delivered_total"),
            failures: counter!("digits_trainer_webhook_attempt_failures_total"),
            dropped: EventDropReason::ALL.into_iter().map(dropped).collect(),
            waiting: gauge!("digits_trainer_webhook_events_waiting"),
            oldest: gauge!("digits_trainer_webhook_oldest_waiting_seconds"),
        }
    }

    /// A receiver accepted an event.
    pub fn delivered(&self) {
        self.delivered.increment(1);
    }

    /// An attempt to deliver an event failed and is repeated.
    pub fn attempt_failed(&self) {
        self.failures.increment(1);
    }

    /// Events were dropped.
    pub fn dropped(&self, reason: EventDropReason, events: u64) {
        for (_, count) in self.dropped.iter().filter(|(one, _)| *one == reason) {
            count.increment(events);
        }
    }

    /// Sets the number of events that wait, over all receivers, and the age of the oldest.
    pub fn waiting(&self, events: u64, oldest: Duration) {
        self.waiting.set(events as f64);
        self.oldest.set(oldest.as_secs_f64());
    }
}

impl Default for WebhookMetrics {
    fn default() -> Self {
        Self::new()
    }
}
