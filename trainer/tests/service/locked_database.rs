//! Another program that holds SQLite's write lock on the job database: writes wait for it, reads do
//! not, and a lock that stays is reported as temporary and costs no running job.

use crate::support::{
    Server, assert_gapless, assert_status, endless_job, get, small_job, submit, watch_to_end,
};
use digits_proto::v1::{
    CancelJobRequest, EvaluationSpec, JobSpec, JobState,
    training_service_client::TrainingServiceClient,
};
use digits_testing::until;
use rusqlite::Connection;
use std::path::Path;
use tonic::{Code, transport::Channel};
use tonic_types::StatusExt as _;

/// A connection of another program that has begun a write.
fn lock(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("state/jobs.sqlite3")).expect("open");
    connection.execute_batch("BEGIN IMMEDIATE").expect("locked");
    connection
}

fn release(lock: &Connection) {
    lock.execute_batch("ROLLBACK").expect("released");
}

/// A job with a curve of many rows.
fn job_with_many_rows(spec: JobSpec) -> JobSpec {
    JobSpec {
        evaluation: Some(EvaluationSpec {
            every_steps: Some(2),
            batch_size: None,
        }),
        ..spec
    }
}

async fn step(client: &mut TrainingServiceClient<Channel>, job_id: &str) -> u64 {
    get(client, job_id).await.progress.expect("progress").step
}

/// Waits until a job has done `steps` more steps.
async fn advances(client: &mut TrainingServiceClient<Channel>, job_id: &str, steps: u64) {
    let before = step(client, job_id).await;
    let advanced = until("the job trains on", async || {
        Ok((step(client, job_id).await >= before + steps).then_some(()))
    });
    advanced.await.expect("advanced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_lock_delays_submissions_and_jobs() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let running = submit(&mut client, "a", job_with_many_rows(endless_job())).await;
    let running = running.expect("accepted").job_id;
    // Else its start waits for the lock too.
    advances(&mut client, &running, 1).await;

    let lock = lock(folder.path());
    let mut other = client.clone();
    let submission = tokio::spawn(async move { submit(&mut other, "b", small_job(1)).await });
    // Its rows wait, and it is read meanwhile.
    advances(&mut client, &running, 20).await;
    assert!(!submission.is_finished(), "it waits for the lock");
    release(&lock);
    let waiting = submission.await.expect("no panic").expect("accepted");

    advances(&mut client, &running, 20).await;
    let job = get(&mut client, &running).await;
    assert_eq!(job.state(), JobState::Running, "{}", job.error);
    let cancel = CancelJobRequest { job_id: running };
    client.cancel_job(cancel).await.expect("cancelled");
    watch_to_end(&mut client, &waiting.job_id, 0).await;
    let job = get(&mut client, &waiting.job_id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_lock_is_unavailable_and_running_jobs_wait_for_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let spec = job_with_many_rows(small_job(40));
    let running = submit(&mut client, "a", spec).await;
    let running = running.expect("accepted").job_id;
    advances(&mut client, &running, 1).await;

    let lock = lock(folder.path());
    let refused = submit(&mut client, "b", small_job(1)).await;
    let refused = refused.expect_err("the lock stays");
    assert_status(&refused, Code::Unavailable, "locked by another program");
    assert!(refused.get_details_retry_info().is_some());
    let job = get(&mut client, &running).await;
    assert_eq!(job.state(), JobState::Running, "{}", job.error);
    release(&lock);

    let later = submit(&mut client, "b", small_job(1)).await;
    later.expect("accepted once the lock is released");
    let events = watch_to_end(&mut client, &running, 0).await;
    assert_gapless(&events, 1);
    let job = get(&mut client, &running).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    server.stop().await;
}
