//! Sends what happens to jobs and checkpoints to webhooks: signed CloudEvents 1.0, at least once.
//!
//! The events wait in the job database, where they are written in the transaction that they are
//! about. One supervised task sends them, each receiver's in order and independently of the others;
//! jobs do not wait for it. What a receiver does not accept is repeated with backoff, until it is too
//! old or the outbox is full.
//!
//! The headers are those of Standard Webhooks 1.0
//! (<https://github.com/standard-webhooks/standard-webhooks>).

mod address;
mod client;
mod flags;
mod secrets;
mod sender;

pub use address::WebhookUrl;
pub use flags::WebhookFlags;

use crate::{store::Store, worker::WorkerContext};
use client::Client;
use digits_service::Error;
use digits_telemetry::supervisor::{RepeatedDeaths, Task};
use sender::Sender;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The receivers of events.
#[derive(Clone)]
pub(crate) struct Webhooks {
    receivers: Vec<Arc<Client>>,
}

impl Webhooks {
    /// Checks the flags.
    ///
    /// # Errors
    /// When a file that a flag names cannot be used.
    pub(crate) fn open(flags: &WebhookFlags) -> Result<Self, Error> {
        let receivers = flags.receivers().map_err(Error::Config)?;
        Ok(Self { receivers })
    }

    /// Enters the receivers into the database, which must be writable: from now on events are kept
    /// for them.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub(crate) async fn enter(&self, store: &Store) -> Result<(), Error> {
        let receivers = self.receivers.iter();
        let addresses = receivers.map(|one| one.url().as_str().to_owned());
        let dropped = store.set_receivers(addresses.collect()).await;
        let dropped = dropped.map_err(Error::unavailable("--state cannot be used"))?;
        if dropped > 0 {
            tracing::warn!(
                events = dropped,
                "events for addresses that are no longer given by --webhook are dropped"
            );
        }
        Ok(())
    }

    /// Starts the task that sends events until `stop` is cancelled; none without a receiver. It never
    /// fails liveness: jobs do not depend on it.
    pub(crate) fn start(
        self,
        services: &WorkerContext,
        stop: &CancellationToken,
    ) -> Option<JoinHandle<()>> {
        if self.receivers.is_empty() {
            return None;
        }
        let sender = Sender {
            receivers: self.receivers,
            store: services.store.clone(),
            metrics: services.metrics.webhooks.clone(),
            stop: stop.clone(),
        };
        let task = Task::new("webhooks");
        Some(
            services
                .supervisor
                .restart(task, RepeatedDeaths::Tolerate, stop.clone(), move || {
                    sender.clone().run()
                }),
        )
    }
}
