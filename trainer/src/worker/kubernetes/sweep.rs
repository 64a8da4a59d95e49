//! Removes Jobs that nobody needs: the trainer may have died between the end of an attempt and what
//! it does to its Job afterwards.

use super::{
    cluster::Cluster,
    manifest::{ATTEMPT, JOB},
    observe::is_over,
};
use crate::{
    job::JobId,
    store::{Store, StoreError},
};
use k8s_openapi::api::batch::v1::Job;
use std::time::Duration;

/// Interval of the sweep.
const INTERVAL: Duration = Duration::from_mins(10);
/// The first one leaves the watches time to list everything.
const FIRST: Duration = Duration::from_secs(30);

/// Sweeps until it is dropped.
pub(super) async fn sweep(cluster: &Cluster, store: &Store, time_to_live: Duration) {
    tokio::time::sleep(FIRST).await;
    loop {
        for job in cluster.jobs() {
            if let Err(error) = sweep_job(cluster, store, &job, time_to_live).await {
                let job = job.metadata.name.as_deref().unwrap_or_default();
                tracing::warn!(job, %error, "a Job that nobody needs is not removed yet");
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn sweep_job(
    cluster: &Cluster,
    store: &Store,
    job: &Job,
    time_to_live: Duration,
) -> anyhow::Result<()> {
    let label = |name: &str| job.metadata.labels.as_ref()?.get(name);
    let Some(id) = label(JOB).and_then(|id| id.parse::<JobId>().ok()) else {
        return Ok(());
    };
    let open = match store.open_run(id).await {
        Ok(run) => run.map(|run| run.attempt.to_string()),
        // Of another trainer.
        Err(StoreError::NoSuchJob) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let expires = job
        .spec
        .as_ref()
        .and_then(|spec| spec.ttl_seconds_after_finished);
    if open.as_ref() == label(ATTEMPT) || (is_over(job) && expires.is_some()) {
        return Ok(());
    }
    if is_over(job) {
        cluster.expire_job(job, time_to_live.as_secs()).await?;
    } else if let Some(name) = &job.metadata.name {
        cluster.delete_job(name).await?;
    }
    Ok(())
}
