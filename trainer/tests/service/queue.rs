//! The job queue: a full queue, several workers, a restart, a deadline.

use crate::support::{
    Server, assert_gapless, assert_status, endless_job, get, is_row, reach, small_job, submit,
    watch, watch_to_end,
};
use digits_proto::v1::{
    CancelJobRequest, JobSpec, JobState, LimitsSpec, watch_job_response::Event,
};
use tonic::Code;
use tonic_types::StatusExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_with_a_retry_delay() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--queue-capacity", "1"]).await;
    let mut client = server.training().await;
    let running = submit(&mut client, "a", endless_job())
        .await
        .expect("accepted");
    reach(&mut client, &running.job_id, JobState::Running).await;
    let waiting = submit(&mut client, "b", small_job(1)).await.expect("waits");
    let full = submit(&mut client, "c", small_job(1))
        .await
        .expect_err("full");
    assert_status(&full, Code::ResourceExhausted, "queue is full");
    assert!(full.get_details_retry_info().is_some());
    // An accepted request is still answered.
    assert_eq!(
        submit(&mut client, "b", small_job(1))
            .await
            .expect("b")
            .job_id,
        waiting.job_id
    );
    // One that waits ends without having begun, and its place is free.
    let cancel = |job_id: &str| CancelJobRequest {
        job_id: job_id.to_owned(),
    };
    client
        .cancel_job(cancel(&waiting.job_id))
        .await
        .expect("cancelled");
    let ended = get(&mut client, &waiting.job_id).await;
    assert_eq!((ended.state(), ended.attempts), (JobState::Cancelled, 0));
    submit(&mut client, "c", small_job(1))
        .await
        .expect("has room now");
    client
        .cancel_job(cancel(&running.job_id))
        .await
        .expect("cancelled");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_resume_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let running = submit(&mut client, "a", endless_job())
        .await
        .expect("accepted");
    let queued = submit(&mut client, "b", small_job(1))
        .await
        .expect("accepted");
    let seen = watch(&mut client, &running.job_id, 0, is_row).await;
    server.stop().await;

    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let more = watch(&mut client, &running.job_id, seen.len() as u64, |event| {
        matches!(event, Event::StateChanged(changed) if changed.state() == JobState::Running)
    })
    .await;
    assert_gapless(&more, seen.len() as u64 + 1);
    let job = get(&mut client, &running.job_id).await;
    assert_eq!((job.state(), job.attempts), (JobState::Running, 1));
    client
        .cancel_job(CancelJobRequest {
            job_id: running.job_id.clone(),
        })
        .await
        .expect("cancelled");
    watch_to_end(&mut client, &queued.job_id, 0).await;
    let job = get(&mut client, &queued.job_id).await;
    assert_eq!((job.state(), job.attempts), (JobState::Succeeded, 1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_jobs_run_as_there_are_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--workers", "2"]).await;
    let mut client = server.training().await;
    let mut ids = Vec::new();
    for request_id in ["a", "b", "c"] {
        let job = submit(&mut client, request_id, endless_job()).await;
        ids.push(job.expect("accepted").job_id);
    }
    // Both make steps while the third waits.
    for id in &ids[..2] {
        watch(&mut client, id, 0, is_row).await;
    }
    for (id, state) in ids
        .iter()
        .zip([JobState::Running, JobState::Running, JobState::Queued])
    {
        assert_eq!(get(&mut client, id).await.state(), state);
    }
    let cancel = CancelJobRequest {
        job_id: ids[0].clone(),
    };
    client.cancel_job(cancel).await.expect("cancelled");
    reach(&mut client, &ids[2], JobState::Running).await;
    server.stop().await;
    let bundles = std::fs::read_dir(folder.path().join("state/bundles")).expect("read");
    assert!(
        bundles.count() >= 2,
        "two jobs were released with their bundles"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_fails_the_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let spec = JobSpec {
        limits: Some(LimitsSpec {
            deadline: Some(prost_types::Duration {
                seconds: 0,
                nanos: 200_000_000,
            }),
        }),
        ..endless_job()
    };
    let job = submit(&mut client, "a", spec).await.expect("accepted");
    watch_to_end(&mut client, &job.job_id, 0).await;
    let job = get(&mut client, &job.job_id).await;
    assert_eq!(job.state(), JobState::Failed);
    assert!(
        job.error.contains("deadline of 0.2 seconds"),
        "{}",
        job.error
    );
    server.stop().await;
}
