//! Jobs in pods (`--executor kubernetes`): their results are those of threads, what a cluster does to
//! them costs no progress, and clients see why one waits.

use crate::support::{
    cluster::Cluster,
    manifests::{documents, string},
    metric_names::repository,
    torture::{Evidence, same, undisturbed},
};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{
    CancelJobRequest, Job, JobSpec, JobState, ListJobsRequest, PublishPolicy, PublishSpec,
    training_service_client::TrainingServiceClient, watch_job_response::Event,
};
use digits_testing::{patience, until};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};
use tonic::transport::Channel;

type Training = TrainingServiceClient<Channel>;

/// A trainer and its cluster.
struct Setup {
    sandbox: Sandbox,
    cluster: Cluster,
    flags: Vec<String>,
}

impl Setup {
    /// A trainer that has the template of its pods from a file.
    async fn new(flags: &[&str]) -> Result<Self> {
        let mut setup = Self::without_trainer().await?;
        let template = setup.sandbox.dir().join("worker.yaml");
        fs::write(&template, setup.pod_template().to_string())?;
        let template = template.to_str().context("UTF-8")?.to_owned();
        let own = ["--pod-template", &template];
        setup.start(&[&own[..], flags].concat()).await?;
        Ok(setup)
    }

    async fn without_trainer() -> Result<Self> {
        let sandbox = Sandbox::new(patience())?;
        let binaries = sandbox.binary("digits-trainer");
        let binaries = binaries.parent().context("a folder")?.to_owned();
        let cluster = Cluster::start(sandbox.dir(), binaries, role()?).await?;
        Ok(Self {
            sandbox,
            cluster,
            flags: Vec::new(),
        })
    }

    async fn start(&mut self, flags: &[&str]) -> Result<()> {
        let flags = ["--executor", "kubernetes"].iter().chain(flags);
        self.flags = flags.map(|&flag| flag.to_owned()).collect();
        self.start_trainer().await
    }

    fn pod_template(&self) -> Value {
        let cache = self.sandbox.dir().join("cache");
        let storage = self.sandbox.storage();
        json!({
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": {"name": "worker"},
            "template": {"spec": {
                "terminationGracePeriodSeconds": 60,
                "nodeSelector": self.cluster.node_selector(),
                "tolerations": [{"operator": "Exists"}],
                "containers": [{
                    "name": "trainer",
                    "image": "digits-trainer",
                    "args": [
                        "work",
                        format!("--storage={storage}"),
                        format!("--cache={}", cache.display()),
                        "--bundle-interval=$(INTERVAL)",
                    ],
                    "env": [{"name": "INTERVAL", "value": "20ms"}],
                    "resources": {"requests": {"cpu": "1"}},
                }],
            }},
        })
    }

    async fn start_trainer(&mut self) -> Result<()> {
        let kubeconfig = self.cluster.kubeconfig();
        let setup = format!("export KUBECONFIG={}", kubeconfig.display());
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        self.sandbox.start_trainer_after(&setup, &flags).await?;
        Ok(())
    }

    /// The one pod whose process runs, once the job has a row.
    async fn pod_of(&self, training: &mut Training, id: &str) -> Result<String> {
        until("a row of the job's worker", async || {
            let rows = jobs::history(training, id).await?;
            let mut running = self.cluster.running();
            running.retain(|pod| pod.starts_with(id));
            Ok(running.pop().filter(|_| !rows.is_empty()))
        })
        .await
    }

    async fn stop(self) -> Result<()> {
        self.sandbox.stop().await?;
        self.cluster.stop().await
    }
}

/// The rules of the trainer's Role.
fn role() -> Result<Vec<Value>> {
    let file = repository("deploy/kubernetes/components/executor/role.yaml");
    let objects = documents(&fs::read_to_string(file)?)?;
    let role = objects.into_iter().find(|object| object["kind"] == "Role");
    let rules = role.context("a Role")?["rules"].as_array().cloned();
    rules.context("rules")
}

/// A job that does not end while a test runs.
fn endless() -> JobSpec {
    JobSpec {
        publish: Some(PublishSpec {
            policy: PublishPolicy::Final.into(),
        }),
        ..specs::synthetic(10_000)
    }
}

/// A job of some seconds.
fn long() -> JobSpec {
    specs::synthetic(60)
}

async fn reach(training: &mut Training, id: &str, wanted: JobState) -> Result<Job> {
    until(&format!("{wanted:?}"), async || {
        let job = jobs::get(training, id).await?;
        ensure!(job.state() != JobState::Failed, "{}", job.error);
        Ok((job.state() == wanted).then_some(job))
    })
    .await
}

const OWNER: &str = "digits-trainer";

/// Creates the StatefulSet of the trainer, with a pod that no node runs; returns its uid.
async fn stateful_set(cluster: &Cluster) -> Result<Value> {
    let pods = json!({
        "nodeSelector": {"digits-test": "none"},
        "containers": [{"name": "trainer", "image": "digits-trainer:1"}],
    });
    let owner = json!({"spec": {
        "serviceName": "none",
        "selector": {"matchLabels": {"app": "trainer"}},
        "template": {"metadata": {"labels": {"app": "trainer"}}, "spec": pods},
    }});
    let owner = cluster
        .create("apps/v1", "StatefulSet", OWNER, owner)
        .await?;
    let uid = owner["metadata"]["uid"].clone();
    if cluster.used().is_some() {
        // There is no controller of StatefulSets.
        let reference = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "name": OWNER, "uid": uid,
        });
        let metadata = json!({"ownerReferences": [reference]});
        let pod = json!({"metadata": metadata, "spec": pods});
        cluster.create("v1", "Pod", "digits-trainer-0", pod).await?;
    }
    Ok(uid)
}

/// The uid of the owner of the Job of a job's first attempt.
async fn owner_of(cluster: &Cluster, id: &str) -> Result<Value> {
    let name = json!(format!("{id}-1"));
    let jobs = cluster.jobs().await?.into_iter();
    let mut named = jobs.filter(|job| job["metadata"]["name"] == name);
    let job = named.next().context("its Job")?;
    Ok(job["metadata"]["ownerReferences"][0]["uid"].clone())
}

async fn cancel(training: &mut Training, id: &str) -> Result<Job> {
    let job_id = id.to_owned();
    training.cancel_job(CancelJobRequest { job_id }).await?;
    reach(training, id, JobState::Cancelled).await
}

/// A job that waits for something, with the reason.
async fn waiting(training: &mut Training, id: &str, reason: &str) -> Result<()> {
    until(reason, async || {
        let job = jobs::get(training, id).await?;
        let waiting = job.waiting.clone().unwrap_or_default();
        ensure!(job.state() == JobState::Queued || waiting.reason.is_empty());
        Ok(waiting.reason.contains(reason).then_some(()))
    })
    .await
}

async fn listed(training: &mut Training, state: JobState) -> Result<Vec<String>> {
    let request = ListJobsRequest {
        states: vec![state.into()],
        ..ListJobsRequest::default()
    };
    let jobs = training.list_jobs(request).await?.into_inner().jobs;
    Ok(jobs.into_iter().map(|job| job.job_id).collect())
}

#[tokio::test]
async fn pods_give_the_results_of_threads() -> Result<()> {
    let setup = Setup::new(&["--job-ttl", "90s"]).await?;
    let mut training = setup.sandbox.training().await?;
    let spec = specs::synthetic(4);
    let job = jobs::run(&mut training, spec.clone()).await?;
    let evidence = Evidence::of(&setup.sandbox, &mut training, &job).await?;
    let expected = undisturbed(std::slice::from_ref(&spec)).await?;
    same(&job.job_id, &evidence, &expected[0])?;
    assert_eq!(job.attempts, 1);
    let made = until("a Job that expires", async || {
        let jobs = setup.cluster.jobs().await?;
        ensure!(jobs.len() == 1, "{jobs:?}");
        let job = jobs.into_iter().next().context("a Job")?;
        let expires = job["spec"]["ttlSecondsAfterFinished"] == 90;
        Ok(expires.then_some(job))
    })
    .await?;
    assert_eq!(made["metadata"]["name"], format!("{}-1", job.job_id));
    setup.stop().await
}

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
    cluster
        .create("kueue.x-k8s.io/v1beta1", "Workload", "job-1", workload)
        .await?;
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

#[tokio::test]
async fn a_job_that_cannot_be_placed_says_why() -> Result<()> {
    let setup = Setup::new(&[]).await?;
    setup.cluster.room("0").await?;
    let mut training = setup.sandbox.training().await?;
    let id = jobs::submit(&mut training, specs::synthetic(4))
        .await?
        .job_id;
    waiting(&mut training, &id, "Insufficient cpu").await?;

    // A Job that somebody deletes before its worker begins is created again.
    let name = format!("{id}-1");
    let before = setup.cluster.jobs().await?[0]["metadata"]["uid"].clone();
    setup.cluster.delete("batch/v1", "Job", &name).await?;
    until("another Job of the attempt", async || {
        let jobs = setup.cluster.jobs().await?;
        let again = jobs
            .first()
            .is_some_and(|job| job["metadata"]["uid"] != before);
        Ok(again.then_some(()))
    })
    .await?;
    waiting(&mut training, &id, "Insufficient cpu").await?;

    setup.cluster.room("64").await?;
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Succeeded, 1));
    assert_eq!(setup.cluster.jobs().await?.len(), 1);
    setup.stop().await
}

#[tokio::test]
async fn evictions_and_kills_cost_no_progress() -> Result<()> {
    let setup = Setup::new(&[]).await?;
    let mut training = setup.sandbox.training().await?;
    let id = jobs::submit(&mut training, long()).await?.job_id;
    let pod = setup.pod_of(&mut training, &id).await?;
    setup.cluster.evict(&pod).await?;
    let second = until("the second attempt", async || {
        let running = setup.cluster.running();
        let second = running
            .into_iter()
            .find(|it| it.starts_with(&format!("{id}-2")));
        Ok(second)
    })
    .await?;
    // An eviction is not a fault of the job.
    assert_eq!(jobs::get(&mut training, &id).await?.attempts, 1);
    setup.cluster.kill(&second);
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Succeeded, 2));
    let evidence = Evidence::of(&setup.sandbox, &mut training, &job).await?;
    let expected = undisturbed(&[long()]).await?;
    same(&job.job_id, &evidence, &expected[0])?;
    setup.stop().await
}

#[tokio::test]
async fn pods_outlive_the_trainer_and_a_cancelled_job_has_none() -> Result<()> {
    let mut setup = Setup::new(&[]).await?;
    let mut training = setup.sandbox.training().await?;
    let id = jobs::submit(&mut training, endless()).await?.job_id;
    let pod = setup.pod_of(&mut training, &id).await?;
    let status = setup.sandbox.take_trainer()?.stop().await?;
    ensure!(status.success(), "{status}");
    assert_eq!(setup.cluster.running(), [pod.as_str()]);

    setup.start_trainer().await?;
    let mut training = setup.sandbox.training().await?;
    let before = jobs::history(&mut training, &id).await?.len();
    until("further rows", async || {
        let rows = jobs::history(&mut training, &id).await?.len();
        Ok((rows > before).then_some(()))
    })
    .await?;
    assert_eq!(setup.cluster.running(), [pod.as_str()]);
    let job = jobs::get(&mut training, &id).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Running, 1));

    let job = cancel(&mut training, &id).await?;
    ensure!(job.progress.context("progress")?.step > 0);
    assert!(setup.cluster.jobs().await?.is_empty());
    until("no pod", async || {
        Ok(setup.cluster.running().is_empty().then_some(()))
    })
    .await?;
    setup.stop().await
}

#[tokio::test]
async fn jobs_wait_for_their_owner_and_follow_its_replacement() -> Result<()> {
    let mut setup = Setup::without_trainer().await?;
    let template = setup.sandbox.dir().join("worker.yaml");
    fs::write(&template, setup.pod_template().to_string())?;
    let template = template.to_str().context("UTF-8")?.to_owned();
    let flags = ["--pod-template", &template, "--job-owner", OWNER];
    // Of the storage alone: the cluster is waited for.
    setup
        .start(&[&flags[..], &["--max-outage", "0s"]].concat())
        .await?;
    let mut training = setup.sandbox.training().await?;
    let spec = || specs::synthetic(4);
    let id = jobs::submit(&mut training, spec()).await?.job_id;
    waiting(&mut training, &id, "no pod of the StatefulSet").await?;
    assert!(setup.cluster.jobs().await?.is_empty());
    let first = stateful_set(&setup.cluster).await?;
    let job = jobs::watch(&mut training, &id, |_| {}).await?;
    assert_eq!((job.state(), job.attempts), (JobState::Succeeded, 1));
    assert!(job.waiting.is_none());
    let cluster = &setup.cluster;
    assert_eq!(owner_of(cluster, &id).await?, first);

    cluster.delete("apps/v1", "StatefulSet", OWNER).await?;
    if cluster.used().is_some() {
        cluster.delete("v1", "Pod", "digits-trainer-0").await?;
    }
    let second = stateful_set(cluster).await?;
    let next = jobs::submit(&mut training, spec()).await?.job_id;
    jobs::watch(&mut training, &next, |_| {}).await?;
    assert_eq!(owner_of(cluster, &next).await?, second);
    setup.stop().await
}

/// One that it does not have breaks something here, and one that it does not need is found.
#[tokio::test]
async fn the_trainer_uses_the_rights_of_its_role_and_no_other() -> Result<()> {
    let mut setup = Setup::without_trainer().await?;
    let mut template = setup.pod_template()["template"].clone();
    template["spec"]["restartPolicy"] = json!("Never");
    let cron_job = json!({"spec": {
        "schedule": "@yearly",
        "suspend": true,
        "jobTemplate": {"spec": {"template": template}},
    }});
    setup
        .cluster
        .create("batch/v1", "CronJob", "digits-worker", cron_job)
        .await?;
    let owner = stateful_set(&setup.cluster).await?;
    setup
        .start(&[
            "--pod-template",
            "cronjob/digits-worker",
            "--job-owner",
            OWNER,
            "--job-queue",
            "team",
        ])
        .await?;
    let mut training = setup.sandbox.training().await?;
    let id = jobs::submit(&mut training, specs::synthetic(4))
        .await?
        .job_id;
    waiting(&mut training, &id, "its Job is suspended").await?;
    let made = setup.cluster.jobs().await?.remove(0);
    let reference = &made["metadata"]["ownerReferences"][0];
    assert_eq!(reference["uid"], owner);

    // Its pod does not start, its Job is deleted, and the next one starts.
    setup.cluster.set_paused(true);
    let (job, released) = (format!("{id}-1"), json!({"spec": {"suspend": false}}));
    setup
        .cluster
        .patch("batch/v1", "Job", &job, released.clone())
        .await?;
    let (pod, uid) = until("a pod", async || Ok(setup.cluster.pods().await?.pop())).await?;
    let event = json!({
        "type": "Warning", "reason": "FailedMount", "message": "no such claim",
        "involvedObject": {"kind": "Pod", "name": pod, "uid": uid, "namespace": setup.cluster.namespace()},
        "lastTimestamp": "2030-01-01T00:00:00Z",
    });
    setup
        .cluster
        .create("v1", "Event", "event-1", event)
        .await?;
    waiting(&mut training, &id, "FailedMount: no such claim").await?;
    setup.cluster.delete("batch/v1", "Job", &job).await?;
    waiting(&mut training, &id, "its Job is suspended").await?;
    setup.cluster.set_paused(false);
    setup
        .cluster
        .patch("batch/v1", "Job", &job, released)
        .await?;
    let done = jobs::watch(&mut training, &id, |_| {}).await?;
    assert_eq!((done.state(), done.attempts), (JobState::Succeeded, 1));

    let id = jobs::submit(&mut training, endless()).await?.job_id;
    waiting(&mut training, &id, "its Job is suspended").await?;
    cancel(&mut training, &id).await?;
    let granted: BTreeSet<(String, String)> = role()?
        .iter()
        .flat_map(|rule| {
            let all = |field: &str| rule[field].as_array().cloned().unwrap_or_default();
            let resources = all("resources");
            let pairs = all("verbs").into_iter().flat_map(move |verb| {
                let pair = move |of: Value| (string(&verb).to_owned(), string(&of).to_owned());
                resources.clone().into_iter().map(pair)
            });
            pairs.collect::<Vec<_>>()
        })
        .collect();
    let used = setup.cluster.used();
    ensure!(
        used.is_none_or(|used| used == granted),
        "{used:?}, {granted:?}",
        used = setup.cluster.used()
    );
    setup.stop().await
}
