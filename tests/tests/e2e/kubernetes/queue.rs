//! Jobs that a queue of the cluster holds.

use super::setup::{Setup, listed, waiting};
use anyhow::Result;
use digits_e2e::{jobs, specs};
use digits_proto::v1::{JobState, watch_job_response::Event};
use serde_json::json;

#[tokio::test]
async fn a_held_job_is_queued_with_the_reason_until_it_is_released() -> Result<()> {
    let setup = Setup::new(&["--job-queue", "team"]).await?;
    let mut training = setup.sandbox.training().await?;
    let id = jobs::submit(&mut training, specs::synthetic(4))
        .await?
        .job_id;
    waiting(&mut training, &id, "its Job is suspended").await?;
    let made = setup.cluster.jobs().await?;
    assert_eq!(
        made[0]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"],
        "team"
    );
    let reason = "couldn't assign flavors to pod set main: insufficient unused quota for cpu";
    let workload = json!({
        "metadata": {"labels": {"kueue.x-k8s.io/job-uid": made[0]["metadata"]["uid"]}},
        "status": {"conditions": [
            {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": reason},
        ]},
    });
    let cluster = &setup.cluster;
    cluster.create("kueue.x-k8s.io/v1beta1", "Workload", "job-1", workload).await?;
    waiting(&mut training, &id, reason).await?;
    assert_eq!(
        listed(&mut training, JobState::Queued).await?,
        [id.as_str()]
    );
    assert!(listed(&mut training, JobState::Running).await?.is_empty());

    let name = format!("{id}-1");
    let released = json!({"spec": {"suspend": false}});
    cluster.patch("batch/v1", "Job", &name, released).await?;
    let mut reasons = Vec::new();
    let job = jobs::watch(&mut training, &id, |event| {
        if let Some(Event::StateChanged(change)) = &event.event {
            reasons.push((change.state(), change.reason.clone()));
        }
    })
    .await?;
    assert_eq!(job.state(), JobState::Succeeded);
    assert!(job.waiting.is_none());
    let suspended = (JobState::Queued, "its Job is suspended".to_owned());
    assert!(reasons.contains(&suspended), "{reasons:?}");
    let running = (JobState::Running, String::new());
    assert_eq!(reasons.last(), Some(&running));
    setup.stop().await
}
