//! Jobs that a queue of the cluster holds: what a queue does to them is done by hand, and by Kueue
//! itself where the cluster has it.

use super::setup::{Setup, Training, cancel, endless, listed, long, reach, waiting};
use crate::support::torture::{Evidence, same, undisturbed};
use anyhow::{Context as _, Result};
use digits_e2e::{jobs, specs};
use digits_proto::v1::{Job, JobState, watch_job_response::Event};
use digits_testing::until;
use serde_json::{Value, json};

const KUEUE: &str = "kueue.x-k8s.io/v1beta2";

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
    // As Kueue 0.19 writes it.
    let reason = "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default, 1 more needed";
    let workload = json!({
        "metadata": {"labels": {"kueue.x-k8s.io/job-uid": made[0]["metadata"]["uid"]}},
        "status": {"conditions": [
            {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": reason},
        ]},
    });
    let cluster = &setup.cluster;
    cluster.create(KUEUE, "Workload", "job-1", workload).await?;
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

/// Suspends a Job and lets it go on, as a queue does.
async fn suspend(setup: &Setup, name: &str, suspended: bool) -> Result<()> {
    let patch = json!({"spec": {"suspend": suspended}});
    setup.cluster.patch("batch/v1", "Job", name, patch).await
}

/// Waits for the end of the worker that has reported its end.
async fn nothing_runs(setup: &Setup) -> Result<()> {
    until("no worker", async || {
        Ok(setup.cluster.running().is_empty().then_some(()))
    })
    .await
}

/// A job that is over in its first attempt but for evictions, with the results of threads.
async fn went_on(setup: &Setup, training: &mut Training, job: &Job) -> Result<()> {
    assert_eq!((job.state(), job.attempts), (JobState::Succeeded, 1));
    let evidence = Evidence::of(&setup.sandbox, training, job).await?;
    let expected = undisturbed(&[long()]).await?;
    same(&job.job_id, &evidence, &expected[0])
}

#[tokio::test]
async fn a_preempted_job_is_queued_and_goes_on_from_its_bundle() -> Result<()> {
    let setup = Setup::new(&["--job-queue", "team"]).await?;
    let mut training = setup.sandbox.training().await?;
    let id = jobs::submit(&mut training, long()).await?.job_id;
    waiting(&mut training, &id, "its Job is suspended").await?;
    suspend(&setup, &format!("{id}-1"), false).await?;
    setup.pod_of(&mut training, &id).await?;
    suspend(&setup, &format!("{id}-1"), true).await?;
    waiting(&mut training, &id, "its Job is suspended").await?;
    let second = format!("{id}-2");
    until("the Job of the second attempt alone", async || {
        let jobs = setup.cluster.jobs().await?;
        Ok((jobs.len() == 1 && jobs[0]["metadata"]["name"] == second.as_str()).then_some(()))
    })
    .await?;
    nothing_runs(&setup).await?;
    suspend(&setup, &second, false).await?;
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    went_on(&setup, &mut training, &job).await?;
    setup.stop().await
}

/// A queue of Kueue with a quota of CPUs, of which each worker needs one.
struct Queue {
    setup: Setup,
    name: String,
}

impl Queue {
    async fn new(cpus: &str) -> Result<Self> {
        let setup = Setup::new(&["--job-queue", "team"]).await?;
        let name = setup.cluster.namespace().to_owned();
        let queue = Self { setup, name };
        queue
            .create("ResourceFlavor", &queue.name, json!({"spec": {}}))
            .await?;
        let spec = json!({"spec": {
            "namespaceSelector": {},
            "preemption": {"withinClusterQueue": "LowerPriority"},
            "resourceGroups": [queue.resources(cpus)],
        }});
        queue.create("ClusterQueue", &queue.name, spec).await?;
        let spec = json!({"spec": {"clusterQueue": queue.name}});
        queue.create("LocalQueue", "team", spec).await?;
        Ok(queue)
    }

    async fn create(&self, kind: &str, name: &str, object: Value) -> Result<Value> {
        self.setup.cluster.create(KUEUE, kind, name, object).await
    }

    async fn change(&self, spec: Value) -> Result<()> {
        let cluster = &self.setup.cluster;
        cluster
            .patch(KUEUE, "ClusterQueue", &self.name, json!({"spec": spec}))
            .await
    }

    fn resources(&self, cpus: &str) -> Value {
        let quota = json!({"name": "cpu", "nominalQuota": cpus});
        json!({"coveredResources": ["cpu"], "flavors": [{"name": self.name, "resources": [quota]}]})
    }

    async fn stop(self) -> Result<()> {
        let cluster = &self.setup.cluster;
        for kind in ["ClusterQueue", "ResourceFlavor"] {
            cluster.delete(KUEUE, kind, &self.name).await?;
        }
        self.setup.stop().await
    }
}

#[tokio::test]
#[ignore = "needs Kueue in the cluster of DIGITS_TEST_KUBECONFIG"]
async fn kueue_holds_and_releases_jobs_by_their_quota() -> Result<()> {
    let queue = Queue::new("0").await?;
    let mut training = queue.setup.sandbox.training().await?;
    let held = jobs::submit(&mut training, endless()).await?.job_id;
    waiting(&mut training, &held, "insufficient quota for cpu").await?;
    assert_eq!(
        listed(&mut training, JobState::Queued).await?,
        [held.as_str()]
    );
    cancel(&mut training, &held).await?;
    until("neither Jobs nor Workloads", async || {
        let jobs = queue.setup.cluster.jobs().await?.len();
        let workloads = queue.setup.cluster.all(KUEUE, "Workload").await?.len();
        Ok((jobs + workloads == 0).then_some(()))
    })
    .await?;

    // A quota of one: the second runs once the first is over.
    let first = jobs::submit(&mut training, long()).await?.job_id;
    waiting(&mut training, &first, "insufficient quota for cpu").await?;
    let resources = json!({"resourceGroups": [queue.resources("1")]});
    queue.change(resources).await?;
    reach(&mut training, &first, JobState::Running).await?;
    let second = jobs::submit(&mut training, specs::synthetic(4))
        .await?
        .job_id;
    waiting(&mut training, &second, "insufficient unused quota for cpu").await?;
    assert_eq!(queue.setup.cluster.running().len(), 1);
    let first = jobs::watch(&mut training, &first, |_| {}).await?;
    went_on(&queue.setup, &mut training, &first).await?;
    let second = jobs::watch(&mut training, &second, |_| {}).await?;
    assert_eq!((second.state(), second.attempts), (JobState::Succeeded, 1));
    queue.stop().await
}

#[tokio::test]
#[ignore = "needs Kueue in the cluster of DIGITS_TEST_KUBECONFIG"]
async fn a_job_that_kueue_preempts_goes_on_once_there_is_quota() -> Result<()> {
    let queue = Queue::new("1").await?;
    let mut training = queue.setup.sandbox.training().await?;
    let id = jobs::submit(&mut training, long()).await?.job_id;
    queue.setup.pod_of(&mut training, &id).await?;

    queue
        .create(
            "WorkloadPriorityClass",
            &queue.name,
            json!({"value": 1_000, "description": ""}),
        )
        .await?;
    // No node takes its pod, which needs the whole quota.
    let labels = json!({
        "kueue.x-k8s.io/queue-name": "team",
        "kueue.x-k8s.io/priority-class": queue.name,
    });
    let pods = json!({
        "restartPolicy": "Never",
        "nodeSelector": {"digits-test": "none"},
        "containers": [{"name": "other", "image": "other", "resources": {"requests": {"cpu": "1"}}}],
    });
    let urgent = json!({
        "metadata": {"labels": labels},
        "spec": {"suspend": true, "template": {"spec": pods}},
    });
    let cluster = &queue.setup.cluster;
    cluster.create("batch/v1", "Job", "urgent", urgent).await?;
    waiting(&mut training, &id, "insufficient unused quota for cpu").await?;
    let workers = cluster.jobs().await?;
    let mut workers = workers
        .iter()
        .filter(|job| job["metadata"]["name"] != "urgent");
    let next = workers.next().context("the Job of the next attempt")?;
    assert_eq!(next["metadata"]["name"], format!("{id}-2"));
    nothing_runs(&queue.setup).await?;

    cluster.delete("batch/v1", "Job", "urgent").await?;
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    went_on(&queue.setup, &mut training, &job).await?;

    // A queue that is drained evicts its jobs, too.
    let id = jobs::submit(&mut training, long()).await?.job_id;
    queue.setup.pod_of(&mut training, &id).await?;
    queue.change(json!({"stopPolicy": "HoldAndDrain"})).await?;
    waiting(&mut training, &id, "ClusterQueue").await?;
    queue.change(json!({"stopPolicy": "None"})).await?;
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    went_on(&queue.setup, &mut training, &job).await?;
    queue
        .setup
        .cluster
        .delete(KUEUE, "WorkloadPriorityClass", &queue.name)
        .await?;
    queue.stop().await
}
