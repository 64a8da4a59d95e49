//! The jobs of a sweep: a full queue, a cancellation, trials without a result.

use super::{accept, cancel_job, end, grid, members, read, states, sweeps, when};
use crate::support::{Server, endless_job, reach, small_job, submit};
use digits_proto::v1::{
    CancelSweepRequest, JobSpec, JobState, Sgd, SweepState, TrialState, job_spec::Optimizer,
};
use digits_testing::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_is_wider_than_the_queue_waits_for_room() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--queue-capacity", "2", "--workers", "1"];
    let server = Server::start(folder.path(), &flags).await;
    let (mut client, mut training) = (sweeps(&server).await, server.training().await);
    let running = submit(&mut training, "runs", endless_job()).await.unwrap();
    reach(&mut training, &running.job_id, JobState::Running).await;
    let mut waiting = Vec::new();
    for request_id in ["b", "c"] {
        waiting.push(
            submit(&mut training, request_id, endless_job())
                .await
                .unwrap(),
        );
    }
    let spec = grid(small_job(1), &[("learning_rate", &["0.1", "0.2", "0.3"])]);
    let id = accept(&mut client, "a", spec).await.unwrap().sweep_id;
    // Nothing of it fits into the queue; then one of it waits, which is what the worker can take.
    assert_eq!(
        states(&read(&mut client, &id).await),
        [TrialState::Pending; 3]
    );
    for job in &waiting {
        cancel_job(&mut training, &job.job_id).await;
    }
    let sweep = when(&mut client, &id, "a trial is queued", |sweep| {
        states(sweep)[0] == TrialState::Queued
    })
    .await;
    assert_eq!(states(&sweep)[1..], [TrialState::Pending; 2]);
    // So that others have room too.
    let other = submit(&mut training, "d", small_job(1)).await.unwrap();
    assert_eq!(
        states(&read(&mut client, &id).await)[1..],
        [TrialState::Pending; 2]
    );
    cancel_job(&mut training, &running.job_id).await;
    let sweep = end(&mut client, &id).await;
    assert_eq!(states(&sweep), [TrialState::Succeeded; 3]);
    reach(&mut training, &other.job_id, JobState::Succeeded).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_sweep_ends_its_jobs_and_submits_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--workers", "1"]).await;
    let (mut client, mut training) = (sweeps(&server).await, server.training().await);
    let spec = grid(
        endless_job(),
        &[("learning_rate", &["0.1", "0.2", "0.3", "0.4"])],
    );
    let id = accept(&mut client, "a", spec).await.unwrap().sweep_id;
    when(&mut client, &id, "one runs and one waits", |sweep| {
        states(sweep)[..2] == [TrialState::Running, TrialState::Queued]
    })
    .await;
    let request = CancelSweepRequest {
        sweep_id: id.clone(),
    };
    let answered = client
        .cancel_sweep(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(answered.sweep.unwrap().cancel_requested);
    let sweep = end(&mut client, &id).await;
    assert_eq!(sweep.state(), SweepState::Cancelled);
    assert!(sweep.finished_at.is_some() && !sweep.cancel_requested);
    assert_eq!(states(&sweep), [TrialState::Cancelled; 4]);
    let jobs = members(&mut training, &id).await;
    assert_eq!(jobs.len(), 2, "the others were never submitted");
    assert!(jobs.iter().all(|job| job.state() == JobState::Cancelled));
    // Again: nothing changes.
    let again = client
        .cancel_sweep(request)
        .await
        .unwrap()
        .into_inner()
        .sweep;
    assert_eq!(again, Some(sweep));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_and_cancelled_trials_do_not_end_the_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--workers", "1"]).await;
    let (mut client, mut training) = (sweeps(&server).await, server.training().await);
    // With a learning rate of 100, each step multiplies the weights by -99.
    let job = JobSpec {
        optimizer: Some(Optimizer::Sgd(Sgd {
            weight_decay: Some(1.0),
            ..Sgd::default()
        })),
        publish: endless_job().publish,
        ..small_job(1)
    };
    let spec = grid(
        job.clone(),
        &[
            ("learning_rate", &["100", "0.1"]),
            ("epochs", &["1", "10000"]),
        ],
    );
    let id = accept(&mut client, "a", spec).await.unwrap().sweep_id;
    let ended = until("the sweep ends", async || {
        let sweep = read(&mut client, &id).await;
        // It does not end by itself.
        let endless = &sweep.trials[3];
        if endless.state() == TrialState::Running {
            cancel_job(&mut training, &endless.job_id).await;
        }
        Ok((sweep.state() != SweepState::Running).then_some(sweep))
    });
    let sweep = ended.await.unwrap();
    assert_eq!(sweep.state(), SweepState::Succeeded);
    assert_eq!(
        states(&sweep),
        [
            TrialState::Failed,
            TrialState::Failed,
            TrialState::Succeeded,
            TrialState::Cancelled
        ]
    );
    let error = &sweep.trials[0].error;
    assert!(error.contains("the loss became"), "{error}");
    assert_eq!(sweep.best.map(|it| it.number), Some(3));

    let spec = grid(job, &[("learning_rate", &["100"])]);
    let id = accept(&mut client, "b", spec).await.unwrap().sweep_id;
    let sweep = end(&mut client, &id).await;
    assert_eq!((sweep.state(), sweep.best), (SweepState::Failed, None));
    server.stop().await;
}
