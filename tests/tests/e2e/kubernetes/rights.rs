//! The owner of Jobs, and the rights of the trainer.

use super::setup::{Setup, cancel, endless, role, waiting};
use crate::support::{cluster::Cluster, manifests::string};
use anyhow::{Context as _, Result, ensure};
use digits_e2e::{jobs, specs};
use digits_proto::v1::JobState;
use digits_testing::until;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

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
