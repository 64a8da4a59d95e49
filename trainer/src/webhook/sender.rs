//! The task that sends events: a loop for each receiver.

use super::client::{Attempt, Client};
use crate::{
    job::now_us,
    metrics::{EventDropReason, WebhookMetrics},
    store::{Delivery, Store, StoreError},
};
use futures::future::join_all;
use std::{sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

/// Events that are kept for each receiver.
const KEPT: u64 = 10_000;
/// Age at which an event that is not accepted is dropped.
const MAX_AGE: Duration = Duration::from_hours(72);
/// Interval at which the outbox is read while it is empty.
const INTERVAL: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// Sends events to all receivers.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) receivers: Vec<Arc<Client>>,
    pub(super) store: Store,
    pub(super) metrics: WebhookMetrics,
    pub(super) stop: CancellationToken,
}

impl Sender {
    /// Sends until the shutdown. An attempt that it interrupts is made again by the next start.
    pub(super) async fn run(self) {
        let loops = self.receivers.iter().map(|one| self.serve(one));
        let all = async {
            tokio::join!(join_all(loops), self.bound());
        };
        self.stop.run_until_cancelled(all).await;
    }

    /// Keeps the outbox within its bound and counts what waits in it.
    async fn bound(&self) {
        loop {
            match self.store.bound_deliveries(KEPT).await {
                Ok(backlog) => {
                    let oldest = backlog.oldest_us.map_or(Duration::ZERO, age);
                    self.metrics.waiting(backlog.waiting, oldest);
                    if backlog.removed > 0 {
                        self.metrics
                            .dropped(EventDropReason::BacklogFull, backlog.removed);
                        tracing::warn!(
                            events = backlog.removed,
                            kept = KEPT,
                            "the oldest events for --webhook are dropped: too many wait for a receiver"
                        );
                    }
                }
                Err(error) => tracing::warn!(%error, "events for --webhook cannot be counted"),
            }
            sleep(INTERVAL).await;
        }
    }

    /// Sends the events of one receiver, oldest first.
    async fn serve(&self, receiver: &Arc<Client>) {
        let mut failures = 0;
        loop {
            let pause = match self.step(receiver, &mut failures).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "events for --webhook cannot be read or removed");
                    LAST_PAUSE
                }
            };
            sleep(pause).await;
        }
    }

    /// Sends the oldest event, if there is one; returns the pause before the next step. `failures`
    /// counts the failed attempts in a row.
    async fn step(
        &self,
        receiver: &Arc<Client>,
        failures: &mut u32,
    ) -> Result<Duration, StoreError> {
        let address = receiver.url().as_str().to_owned();
        let Some(delivery) = self.store.next_delivery(address).await? else {
            return Ok(INTERVAL);
        };
        let (client, event) = (Arc::clone(receiver), delivery.event.clone());
        let attempt = spawn_blocking(move || client.send(&event)).await;
        let attempt = attempt.unwrap_or_else(|error| Attempt::Failed(error.to_string()));
        let webhook = receiver.url();
        match attempt {
            Attempt::Accepted => {
                self.store.remove_delivery(delivery.number).await?;
                self.metrics.delivered();
                if std::mem::take(failures) > 0 {
                    tracing::info!(%webhook, "events are delivered again");
                }
                Ok(Duration::ZERO)
            }
            Attempt::Refused(cause) => {
                self.drop_event(receiver, &delivery, EventDropReason::Refused, &cause)
                    .await?;
                Ok(Duration::ZERO)
            }
            Attempt::Failed(cause) => {
                self.metrics.attempt_failed();
                if *failures == 0 {
                    tracing::warn!(%webhook, reason = cause, "events cannot be delivered; trying again");
                }
                if age(delivery.at_us) > MAX_AGE {
                    self.drop_event(receiver, &delivery, EventDropReason::Expired, &cause)
                        .await?;
                }
                let pause = pause_after(*failures);
                *failures = failures.saturating_add(1);
                Ok(pause)
            }
        }
    }

    async fn drop_event(
        &self,
        receiver: &Client,
        delivery: &Delivery,
        reason: EventDropReason,
        cause: &str,
    ) -> Result<(), StoreError> {
        self.store.remove_delivery(delivery.number).await?;
        self.metrics.dropped(reason, 1);
        tracing::warn!(
            webhook = %receiver.url(), event = delivery.event.id, reason = reason.as_str(), cause,
            "an event is dropped"
        );
        Ok(())
    }
}

/// Time since an event was written at `at_us`; zero where the clock was set back.
fn age(at_us: i64) -> Duration {
    let age_us = now_us().saturating_sub(at_us);
    Duration::from_micros(u64::try_from(age_us).unwrap_or(0))
}

/// Pause after a failed attempt, by the number of failed attempts before it.
fn pause_after(failures: u32) -> Duration {
    LAST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(failures.min(10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses = [0, 1, 5, 6, 100].map(|failures| pause_after(failures).as_secs());
        assert_eq!(pauses, [1, 2, 32, 60, 60]);
    }
}
