//! Periodic retention sweep: deletes checkpoints, marks of jobs and what workers left, where they
//! are no longer needed.
//!
//! [`digits_checkpoint::retention`] has the rules. The checkpoints that jobs publish or start from,
//! and those that sweeps compare, are kept in addition; only the job database knows them.

use crate::{
    metrics::{Metrics, SweepCounts},
    store::{Store, StoreError},
    worker::sweep_runs,
};
use digits_checkpoint::{
    Storage,
    id::CheckpointId,
    retention::{Report, Rules, apply},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// The retention sweep.
#[derive(Clone)]
pub struct Retention {
    /// Checkpoints that jobs need.
    pub store: Store,
    /// The storage to sweep.
    pub storage: Storage,
    /// Counters of the sweep.
    pub metrics: Metrics,
    /// Rules for keeping checkpoints.
    pub rules: Rules,
}

impl Retention {
    /// Sweeps once per `interval`, first after one, until `stop` is cancelled. A later sweep
    /// completes an interrupted one.
    pub async fn run(self, interval: Duration, stop: CancellationToken) {
        let mut ticks = interval_at(tokio::time::Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(swept) = stop.run_until_cancelled(self.sweep()).await else {
                return;
            };
            match swept {
                Ok(()) => failing = false,
                Err(error) => {
                    self.metrics.retention_failed();
                    // Logged once until a sweep succeeds.
                    if !failing {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "the retention sweep failed; retrying at its next interval"
                        );
                    }
                    failing = true;
                }
            }
        }
    }

    async fn sweep(&self) -> anyhow::Result<()> {
        let keep = self.needed().await?;
        let now = jiff::Timestamp::now();
        let report = apply(&self.storage, &self.rules, &keep, now).await?;
        self.record(&report);
        sweep_runs(&self.store, &self.storage).await
    }

    /// Checkpoints that are being published, those that unfinished jobs start from, and those that
    /// sweeps compare.
    async fn needed(&self) -> Result<BTreeSet<CheckpointId>, StoreError> {
        let mut keep = self.store.needed_parents().await?;
        keep.extend(self.store.needed_by_sweeps().await?);
        keep.extend(self.store.checkpoints_in_progress().await?);
        Ok(keep)
    }

    fn record(&self, report: &Report) {
        self.metrics.retention_swept(SweepCounts {
            buried: report.buried.len() as u64,
            spared: report.spared.len() as u64,
            deleted: report.deleted.len() as u64,
        });
        if *report != Report::default() {
            tracing::info!(
                buried = ?report.buried, spared = ?report.spared, deleted = ?report.deleted,
                unmarked_jobs = ?report.unmarked,
                "retention sweep finished"
            );
        }
    }
}
