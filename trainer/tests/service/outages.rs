//! A storage that fails for a while: running jobs wait, show why, stop when they are told to, and
//! lose nothing when the process is killed meanwhile.

use crate::metrics::scraped;
use crate::{
    child::{Process, service},
    support::{Server, assert_gapless, get, reach, small_job, submit, training, watch_to_end},
};
use digits_checkpoint::sha256_hex;
use digits_proto::v1::{
    CancelJobRequest, Job, JobSpec, JobState, LimitsSpec, Publishing,
    training_service_client::TrainingServiceClient, watch_job_response::Event,
};
use digits_testing::until;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, prlimit};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use tonic::transport::Channel;

/// A file in the place of the checkpoints folder: nothing can be written there, not even by root.
struct Fault(PathBuf);

impl Fault {
    fn begin(folder: &Path) -> Self {
        let checkpoints = folder.join("storage/checkpoints");
        let away = folder.join("checkpoints");
        // Not there before the first checkpoint.
        drop(fs::rename(&checkpoints, away));
        fs::write(&checkpoints, "in the way").expect("written");
        Self(checkpoints)
    }

    fn end(self) {
        fs::remove_file(&self.0).expect("removed");
    }
}

/// Polls until a checkpoint of the job waits for the storage.
pub async fn publishing(client: &mut TrainingServiceClient<Channel>, job_id: &str) -> Publishing {
    let waiting = until("a checkpoint waits", async || {
        let job = get(client, job_id).await;
        assert!(job.finished_at.is_none(), "{}", job.error);
        Ok(job.publishing)
    });
    waiting.await.expect("waits")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlasts_a_storage_that_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let fault = Fault::begin(folder.path());
    let job = submit(&mut client, "a", small_job(3)).await;
    let job = job.expect("accepted");
    let waiting = publishing(&mut client, &job.job_id).await;
    assert_eq!(
        (waiting.epoch, waiting.reason.as_str()),
        (1, "the storage fails")
    );
    assert!(waiting.failed_attempts > 0);
    let seconds = waiting.until.expect("a limit").seconds - waiting.since.expect("a time").seconds;
    assert_eq!(seconds, 3_600);
    fault.end();

    let events = watch_to_end(&mut client, &job.job_id, 0).await;
    assert_gapless(&events, 1);
    let changes: Vec<bool> = events
        .iter()
        .filter_map(|event| match &event.event {
            Some(Event::PublishingChanged(change)) => Some(change.publishing.is_some()),
            _ => None,
        })
        .collect();
    assert!(changes.starts_with(&[true, false]), "{changes:?}");
    let job = get(&mut client, &job.job_id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    assert_eq!((job.publishing, job.checkpoint_count), (None, 3));
    assert_eq!(outbox(folder.path()), 0);
    server.stop().await;
}

/// A file in the place of the folder that a start writes to.
fn block_starts(folder: &Path) -> PathBuf {
    let storage = folder.join("storage");
    fs::create_dir_all(&storage).expect("a folder");
    let probe = storage.join("probe");
    drop(fs::remove_dir(&probe));
    fs::write(&probe, "in the way").expect("written");
    probe
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_a_storage_that_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let fault = block_starts(folder.path());
    let server = Server::start(folder.path(), &[]).await;
    until("the reason in /readyz", async || {
        let answer = scraped(server.admin(), "/readyz").await;
        let shown = answer.contains("the storage cannot be used; retrying");
        Ok((answer.contains("503") && shown).then_some(()))
    })
    .await
    .expect("shown");
    assert!(scraped(server.admin(), "/livez").await.contains("200 OK"));
    fs::remove_file(fault).expect("removed");
    let mut client = server.training().await;
    let job = submit(&mut client, "a", small_job(1)).await;
    let job = job.expect("accepted");
    watch_to_end(&mut client, &job.job_id, 0).await;
    server.stop().await;

    // A shutdown ends the wait.
    block_starts(folder.path());
    Server::start(folder.path(), &[]).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_does_not_wait_without_a_max_outage() {
    let folder = tempfile::tempdir().expect("a folder");
    block_starts(folder.path());
    let error = Server::try_start(folder.path(), &["--max-outage", "0"]).await;
    let error = error.err().expect("no start").to_string();
    assert!(error.contains("--storage cannot be used"), "{error}");
}

/// Checkpoints that are kept in the state folder.
fn outbox(folder: &Path) -> usize {
    let kept = fs::read_dir(folder.join("state/outbox/checkpoints"));
    kept.map_or(0, |entries| {
        let entries = entries.map(|entry| entry.expect("an entry").path());
        entries
            .filter(|path| path.join("manifest.json").exists())
            .count()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_wait_for_the_storage_can_be_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let fault = Fault::begin(folder.path());
    let job = submit(&mut client, "a", small_job(2)).await;
    let job = job.expect("accepted").job_id;
    publishing(&mut client, &job).await;
    let cancel = CancelJobRequest {
        job_id: job.clone(),
    };
    client.cancel_job(cancel).await.expect("cancelled");
    reach(&mut client, &job, JobState::Cancelled).await;

    let spec = JobSpec {
        limits: Some(LimitsSpec {
            deadline: Some(prost_types::Duration {
                seconds: 2,
                nanos: 0,
            }),
        }),
        ..small_job(2)
    };
    let late = submit(&mut client, "b", spec).await;
    let late = reach(
        &mut client,
        &late.expect("accepted").job_id,
        JobState::Failed,
    )
    .await;
    assert!(late.error.contains("deadline"), "{}", late.error);
    fault.end();
    server.stop().await;
    // Nobody waits for these checkpoints any more.
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    assert_eq!(get(&mut client, &job).await.checkpoint_count, 0);
    server.stop().await;
}

/// Digests of the weights of a job's checkpoints.
fn weights(folder: &Path, job: &Job) -> BTreeSet<String> {
    let checkpoints = folder.join("storage/checkpoints");
    let file = |id: &String| checkpoints.join(id).join("model.safetensors");
    let read = |id| fs::read(file(id)).expect("the weights");
    job.checkpoint_ids
        .iter()
        .map(|id| sha256_hex(&read(id)))
        .collect()
}

/// Runs a job to its success; the digests of its weights.
async fn reference(spec: JobSpec) -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let job = submit(&mut client, "a", spec).await.expect("accepted");
    watch_to_end(&mut client, &job.job_id, 0).await;
    let job = get(&mut client, &job.job_id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    server.stop().await;
    weights(folder.path(), &job)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_during_an_outage_changes_no_checkpoint() {
    let spec = || small_job(4);
    let expected = reference(spec()).await;
    assert_eq!(expected.len(), 4);

    let folder = tempfile::tempdir().expect("a folder");
    let ready_file = folder.path().join("ready");
    let start = || {
        let mut command = service(folder.path(), &ready_file);
        command.args(["--bundle-interval", "10ms"]);
        Process::start(&mut command, "")
    };
    let mut trainer = start();
    let addresses = trainer.ready(&ready_file).await;
    let mut client = training(addresses.grpc).await;
    let fault = Fault::begin(folder.path());
    let job = submit(&mut client, "a", spec()).await;
    let job = job.expect("accepted").job_id;
    publishing(&mut client, &job).await;
    // The training goes on, to its end.
    let kept = until("all checkpoints are kept", async || {
        Ok((outbox(folder.path()) == 4).then_some(()))
    });
    kept.await.expect("kept");
    trainer.end_by(Signal::KILL).await;

    fault.end();
    fs::remove_file(&ready_file).expect("removed");
    let mut trainer = start();
    let addresses = trainer.ready(&ready_file).await;
    trainer
        .logged("published a checkpoint that had waited for the storage")
        .await;
    let mut client = training(addresses.grpc).await;
    watch_to_end(&mut client, &job, 0).await;
    let job = get(&mut client, &job).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    assert_eq!((job.attempts, job.checkpoint_count), (2, 4));
    assert_eq!(weights(folder.path(), &job), expected);
    assert_eq!(outbox(folder.path()), 0);
    drop(client);
    let ended = trainer.end_by(Signal::TERM).await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}

/// Waits until the job has published more than `count` checkpoints.
async fn publishes_more(client: &mut TrainingServiceClient<Channel>, job_id: &str, count: u64) {
    let published = until("a further checkpoint", async || {
        let job = get(client, job_id).await;
        assert!(job.finished_at.is_none(), "{}", job.error);
        Ok((job.checkpoint_count > count).then_some(()))
    });
    published.await.expect("published");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlasts_a_lack_of_file_descriptors() {
    let folder = tempfile::tempdir().expect("a folder");
    let ready_file = folder.path().join("ready");
    let mut trainer = Process::start(&mut service(folder.path(), &ready_file), "");
    let addresses = trainer.ready(&ready_file).await;
    let mut client = training(addresses.grpc).await;
    let job = submit(&mut client, "a", small_job(10_000)).await;
    let job = job.expect("accepted").job_id;
    publishes_more(&mut client, &job, 0).await;
    let limit = |limit| prlimit(Some(trainer.pid()), Resource::Nofile, limit).expect("set");
    let before = getrlimit(Resource::Nofile);
    limit(Rlimit {
        current: Some(0),
        maximum: before.maximum,
    });
    publishing(&mut client, &job).await;
    let count = get(&mut client, &job).await.checkpoint_count;
    limit(before);
    publishes_more(&mut client, &job, count).await;
    let cancel = CancelJobRequest {
        job_id: job.clone(),
    };
    client.cancel_job(cancel).await.expect("cancelled");
    reach(&mut client, &job, JobState::Cancelled).await;
    drop(client);
    let ended = trainer.end_by(Signal::TERM).await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}
