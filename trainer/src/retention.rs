//! Deletes from the storage, now and then, what nothing needs any more.
//!
//! What that is says [`digits_checkpoint::retention`]; only this process knows which checkpoints its jobs are about to
//! publish or to start from. Rows of the database are not its business.

use crate::{
    metrics::Metrics,
    store::{Store, StoreError},
};
use digits_checkpoint::{
    Storage,
    id::CheckpointId,
    retention::{Report, Rules, apply},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// What retention needs.
#[derive(Clone)]
pub struct Retention {
    /// What the jobs need.
    pub store: Store,
    /// Where it deletes.
    pub storage: Storage,
    /// What it counts.
    pub metrics: Metrics,
    /// What is kept.
    pub rules: Rules,
}

impl Retention {
    /// Looks once per `interval`, first after one, until `stop` is cancelled. A look that is broken off is finished
    /// by a later one.
    pub async fn run(self, interval: Duration, stop: CancellationToken) {
        let mut ticks = interval_at(tokio::time::Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(looked) = stop.run_until_cancelled(self.look()).await else {
                return;
            };
            match looked {
                Ok(report) => {
                    failing = false;
                    self.tell(&report);
                }
                Err(error) => {
                    self.metrics.retention_failed();
                    // Once until it works again.
                    if !failing {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "retention failed; it tries again"
                        );
                    }
                    failing = true;
                }
            }
        }
    }

    async fn look(&self) -> anyhow::Result<Report> {
        let keep = self.needed().await?;
        let now = jiff::Timestamp::now();
        Ok(apply(&self.storage, &self.rules, &keep, now).await?)
    }

    /// What is being published, and what jobs that have not ended start from.
    async fn needed(&self) -> Result<BTreeSet<CheckpointId>, StoreError> {
        let mut keep = self.store.needed_parents().await?;
        keep.extend(self.store.under_way().await?);
        Ok(keep)
    }

    fn tell(&self, report: &Report) {
        self.metrics.retained(report);
        if *report != Report::default() {
            tracing::info!(
                buried = ?report.buried, spared = ?report.spared, deleted = ?report.deleted,
                "retention looked through the checkpoints"
            );
        }
    }
}
