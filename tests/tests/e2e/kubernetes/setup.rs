//! A trainer whose workers are pods, and what tests wait for.

use crate::support::{cluster::Cluster, manifests::documents, metric_names::repository};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, sandbox::Sandbox, specs};
use digits_proto::v1::{
    CancelJobRequest, Job, JobSpec, JobState, ListJobsRequest, PublishPolicy, PublishSpec,
    training_service_client::TrainingServiceClient,
};
use digits_testing::{patience, until};
use serde_json::{Value, json};
use std::fs;
use tonic::transport::Channel;

pub type Training = TrainingServiceClient<Channel>;

/// A trainer and its cluster.
pub struct Setup {
    pub sandbox: Sandbox,
    pub cluster: Cluster,
    flags: Vec<String>,
}

impl Setup {
    /// A trainer that has the template of its pods from a file.
    pub async fn new(flags: &[&str]) -> Result<Self> {
        let mut setup = Self::without_trainer().await?;
        let template = setup.sandbox.dir().join("worker.yaml");
        fs::write(&template, setup.pod_template().to_string())?;
        let template = template.to_str().context("UTF-8")?.to_owned();
        let own = ["--pod-template", &template];
        setup.start(&[&own[..], flags].concat()).await?;
        Ok(setup)
    }

    pub async fn without_trainer() -> Result<Self> {
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

    pub async fn start(&mut self, flags: &[&str]) -> Result<()> {
        let flags = ["--executor", "kubernetes"].iter().chain(flags);
        self.flags = flags.map(|&flag| flag.to_owned()).collect();
        self.start_trainer().await
    }

    pub fn pod_template(&self) -> Value {
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

    pub async fn start_trainer(&mut self) -> Result<()> {
        let kubeconfig = self.cluster.kubeconfig();
        let setup = format!("export KUBECONFIG={}", kubeconfig.display());
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        self.sandbox.start_trainer_after(&setup, &flags).await?;
        Ok(())
    }

    /// The one pod whose process runs, once the job has a row.
    pub async fn pod_of(&self, training: &mut Training, id: &str) -> Result<String> {
        until("a row of the job's worker", async || {
            let rows = jobs::history(training, id).await?;
            let mut running = self.cluster.running();
            running.retain(|pod| pod.starts_with(id));
            Ok(running.pop().filter(|_| !rows.is_empty()))
        })
        .await
    }

    pub async fn stop(self) -> Result<()> {
        self.sandbox.stop().await?;
        self.cluster.stop().await
    }
}

/// The rules of the trainer's Role.
pub fn role() -> Result<Vec<Value>> {
    let file = repository("deploy/kubernetes/components/executor/role.yaml");
    let objects = documents(&fs::read_to_string(file)?)?;
    let role = objects.into_iter().find(|object| object["kind"] == "Role");
    let rules = role.context("a Role")?["rules"].as_array().cloned();
    rules.context("rules")
}

/// A job that does not end while a test runs.
pub fn endless() -> JobSpec {
    JobSpec {
        publish: Some(PublishSpec {
            policy: PublishPolicy::Final.into(),
        }),
        ..specs::synthetic(10_000)
    }
}

/// A job of some seconds.
pub fn long() -> JobSpec {
    specs::synthetic(60)
}

pub async fn reach(training: &mut Training, id: &str, wanted: JobState) -> Result<Job> {
    until(&format!("{wanted:?}"), async || {
        let job = jobs::get(training, id).await?;
        ensure!(job.state() != JobState::Failed, "{}", job.error);
        Ok((job.state() == wanted).then_some(job))
    })
    .await
}

pub async fn cancel(training: &mut Training, id: &str) -> Result<Job> {
    let job_id = id.to_owned();
    training.cancel_job(CancelJobRequest { job_id }).await?;
    reach(training, id, JobState::Cancelled).await
}

/// A job that waits for something, with the reason.
pub async fn waiting(training: &mut Training, id: &str, reason: &str) -> Result<()> {
    until(reason, async || {
        let job = jobs::get(training, id).await?;
        let waiting = job.waiting.clone().unwrap_or_default();
        ensure!(job.state() == JobState::Queued || waiting.reason.is_empty());
        Ok(waiting.reason.contains(reason).then_some(()))
    })
    .await
}

pub async fn listed(training: &mut Training, state: JobState) -> Result<Vec<String>> {
    let request = ListJobsRequest {
        states: vec![state.into()],
        ..ListJobsRequest::default()
    };
    let jobs = training.list_jobs(request).await?.into_inner().jobs;
    Ok(jobs.into_iter().map(|job| job.job_id).collect())
}
