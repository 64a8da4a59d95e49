//! Jobs over gRPC: submit, watch, cancel, list.

use crate::support::{
    Server, assert_gapless, assert_status, endless_job, get, is_row, reach, small_job, submit,
    watch, watch_to_end,
};
use digits_proto::v1::{
    CancelJobRequest, GetCheckpointRequest, GetHistoryRequest, JobSpec, JobState,
    ListCheckpointsRequest, ListJobsRequest, ListServingRequest, WatchJobRequest,
    watch_job_response::Event,
};
use digits_testing::until;
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_from_submission_to_its_checkpoints() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let job = submit(&mut client, "one", small_job(2))
        .await
        .expect("accepted");
    assert_eq!(job.state(), JobState::Queued);
    assert_eq!(job.requested, Some(small_job(2)));
    assert_eq!(job.network.map(|network| network.parameters), Some(7_960));
    let steps = 27 * 2;
    assert_eq!(job.progress.map(|p| p.steps), Some(steps));

    let events = watch_to_end(&mut client, &job.job_id, 0).await;
    assert_gapless(&events, 1);
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| kind(event.event.as_ref()))
        .collect();
    assert_eq!(kinds[0], "queued");
    assert_eq!(kinds[1], "running");
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "row").count(),
        2,
        "{kinds:?}"
    );
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "checkpoint").count(),
        2,
        "{kinds:?}"
    );

    let done = get(&mut client, &job.job_id).await;
    assert_eq!(done.state(), JobState::Succeeded, "{}", done.error);
    assert_eq!((done.attempts, done.device.as_str()), (1, "cpu"));
    assert_eq!(done.last_event_sequence, events.len() as u64);
    assert_eq!(done.test.map(|test| test.images), Some(100));
    assert_eq!(done.checkpoint_ids.len(), 2);
    assert_eq!(done.dataset_digest.len(), 64);
    assert!(done.started_at.is_some() && done.finished_at.is_some());
    assert_eq!(done.progress.map(|p| p.step), Some(steps));

    let history = client
        .get_history(GetHistoryRequest {
            job_id: job.job_id.clone(),
            max_rows: 0,
        })
        .await
        .expect("history")
        .into_inner();
    let watched: Vec<_> = events
        .iter()
        .filter_map(|event| match event.event {
            Some(Event::Row(row)) => Some(row),
            _ => None,
        })
        .collect();
    assert_eq!(history.rows, watched);
    assert_eq!(history.total_rows, 2);
    checkpoints(&server, &done).await;
    server.stop().await;
}

/// What the storage has of a job.
async fn checkpoints(server: &Server, job: &digits_proto::v1::Job) {
    let mut client = server.checkpoints().await;
    let listed = client
        .list_checkpoints(ListCheckpointsRequest {
            job_id: job.job_id.clone(),
            page_size: 1,
            ..ListCheckpointsRequest::default()
        })
        .await
        .expect("checkpoints")
        .into_inner();
    assert_eq!(listed.checkpoints.len(), 1);
    assert_eq!(
        listed.checkpoints[0].checkpoint_id, job.checkpoint_ids[1],
        "newest first"
    );
    let rest = client
        .list_checkpoints(ListCheckpointsRequest {
            page_token: listed.next_page_token,
            ..ListCheckpointsRequest::default()
        })
        .await
        .expect("the second page")
        .into_inner();
    assert_eq!(rest.checkpoints.len(), 1);
    assert_eq!(rest.checkpoints[0].checkpoint_id, job.checkpoint_ids[0]);
    assert_eq!(rest.next_page_token, "");

    let last = client
        .get_checkpoint(GetCheckpointRequest {
            checkpoint_id: job.checkpoint_ids[1].clone(),
        })
        .await
        .expect("the checkpoint")
        .into_inner()
        .checkpoint
        .expect("a checkpoint");
    let lineage = last.lineage.expect("lineage");
    assert_eq!(lineage.spec, job.resolved);
    assert_eq!(lineage.job_id, job.job_id);
    assert_eq!(lineage.epoch, 2);
    assert_eq!(last.test, job.test, "the last snapshot of a job is tested");

    let log = client
        .list_serving(ListServingRequest {
            model: "digits".to_owned(),
            ..ListServingRequest::default()
        })
        .await
        .expect("the log")
        .into_inner();
    let sequences: Vec<u64> = log.records.iter().map(|record| record.sequence).collect();
    assert_eq!(sequences, [2, 1]);
    assert_eq!(
        log.records[0].routes[0].checkpoint_id,
        job.checkpoint_ids[1]
    );
}

fn kind(event: Option<&Event>) -> &'static str {
    match event {
        Some(Event::StateChanged(changed)) => match changed.state() {
            JobState::Queued => "queued",
            JobState::Running => "running",
            _ => "another state",
        },
        Some(Event::Row(_)) => "row",
        Some(Event::CheckpointPublished(_)) => "checkpoint",
        Some(Event::Finished(_)) => "finished",
        Some(Event::PublishingChanged(_)) => "publishing",
        Some(Event::Heartbeat(_)) => "heartbeat",
        None => "nothing",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_returns_the_same_job() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let labelled = || JobSpec {
        labels: (0..20)
            .map(|i| (format!("k{i}"), format!("v{i}")))
            .collect(),
        ..small_job(1)
    };
    let first = submit(&mut client, "a", labelled())
        .await
        .expect("accepted");
    for _ in 0..5 {
        // Another map has another order of its entries.
        let again = submit(&mut client, "a", labelled()).await.expect("again");
        assert_eq!(again.job_id, first.job_id);
    }
    let other = submit(&mut client, "a", small_job(2))
        .await
        .expect_err("another spec");
    assert_status(&other, Code::AlreadyExists, "request_id");
    watch_to_end(&mut client, &first.job_id, 0).await;
    let after = submit(&mut client, "a", labelled())
        .await
        .expect("after its end");
    assert_eq!(after.state(), JobState::Succeeded);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_is_idempotent_and_ends_the_watch() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let job = submit(&mut client, "a", endless_job())
        .await
        .expect("accepted");
    let seen = watch(&mut client, &job.job_id, 0, is_row).await;
    let cancel = CancelJobRequest {
        job_id: job.job_id.clone(),
    };
    client.cancel_job(cancel.clone()).await.expect("cancelled");
    let rest = watch_to_end(&mut client, &job.job_id, seen.len() as u64).await;
    assert_gapless(&rest, seen.len() as u64 + 1);
    let ended = client
        .cancel_job(cancel)
        .await
        .expect("again")
        .into_inner()
        .job
        .expect("a job");
    assert_eq!(ended.state(), JobState::Cancelled);
    assert!(!ended.cancel_requested);
    assert_eq!(ended.error, "");
    // A watch that has seen everything ends at once.
    let nothing = watch(&mut client, &job.job_id, ended.last_event_sequence, |_| {
        false
    })
    .await;
    assert!(nothing.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diverging_job_fails_and_publishes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let good = submit(&mut client, "good", small_job(1)).await;
    let good = good.expect("accepted").job_id;
    watch_to_end(&mut client, &good, 0).await;
    let good = get(&mut client, &good).await;
    let spec = JobSpec {
        optimizer: Some(digits_proto::v1::job_spec::Optimizer::Sgd(
            digits_proto::v1::Sgd {
                learning_rate: Some(100.0),
                momentum: Some(0.999),
                ..digits_proto::v1::Sgd::default()
            },
        )),
        architecture: Some(digits_proto::v1::ArchitectureSpec {
            hidden: Some(digits_proto::v1::HiddenLayers {
                widths: vec![50; 5],
            }),
            ..Default::default()
        }),
        ..small_job(50)
    };
    let job = submit(&mut client, "a", spec).await.expect("accepted");
    watch_to_end(&mut client, &job.job_id, 0).await;
    let job = get(&mut client, &job.job_id).await;
    assert_eq!(job.state(), JobState::Failed);
    assert!(job.error.contains("step"), "{}", job.error);
    // Earlier checkpoints hold finite weights, and those of the other job are still there.
    let mut storage = server.checkpoints().await;
    let listed = storage
        .list_checkpoints(ListCheckpointsRequest::default())
        .await
        .expect("checkpoints")
        .into_inner()
        .checkpoints;
    let kept = listed
        .iter()
        .map(|checkpoint| checkpoint.checkpoint_id.clone())
        .collect::<Vec<_>>();
    let all = [&job.checkpoint_ids[..], &good.checkpoint_ids].concat();
    assert_eq!(kept.len(), all.len());
    assert!(all.iter().all(|id| kept.contains(id)));
    for id in &kept {
        let file = format!("storage/checkpoints/{id}/model.safetensors");
        let bytes = std::fs::read(folder.path().join(file)).expect("the weights");
        let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
        for (name, tensor) in tensors.iter() {
            let (numbers, _) = tensor.data().as_chunks();
            let mut numbers = numbers.iter().copied().map(f32::from_le_bytes);
            assert!(numbers.all(f32::is_finite), "{id}: {name}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_pages_and_filters() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let spec = JobSpec {
            name: format!("job {}", number % 2),
            labels: [("team".to_owned(), (number % 3).to_string())].into(),
            ..small_job(1)
        };
        let job = submit(&mut client, &number.to_string(), spec)
            .await
            .expect("accepted");
        ids.insert(0, job.job_id);
    }
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListJobsRequest {
            page_size: 2,
            page_token: page_token.clone(),
            ..ListJobsRequest::default()
        };
        let page = client
            .list_jobs(request)
            .await
            .expect("a page")
            .into_inner();
        assert!(page.jobs.len() <= 2);
        listed.extend(page.jobs.into_iter().map(|job| job.job_id));
        // One that comes in between does not move the pages.
        let extra = format!("extra {}", listed.len());
        submit(&mut client, &extra, small_job(1))
            .await
            .expect("accepted");
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, ids);
    let count = async |client: &mut _, request: ListJobsRequest| {
        let client: &mut digits_proto::v1::training_service_client::TrainingServiceClient<_> =
            client;
        client
            .list_jobs(request)
            .await
            .expect("a page")
            .into_inner()
            .jobs
            .len()
    };
    let by_name = ListJobsRequest {
        name: "job 1".to_owned(),
        ..ListJobsRequest::default()
    };
    assert_eq!(count(&mut client, by_name).await, 2);
    let by_label = ListJobsRequest {
        labels: [("team".to_owned(), "0".to_owned())].into(),
        ..ListJobsRequest::default()
    };
    assert_eq!(count(&mut client, by_label).await, 2);
    reach(&mut client, &ids[4], JobState::Succeeded).await;
    let by_state = ListJobsRequest {
        states: vec![JobState::Failed.into(), JobState::Cancelled.into()],
        ..ListJobsRequest::default()
    };
    assert_eq!(count(&mut client, by_state).await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_at_the_age_of_its_connection_and_resumes_without_a_gap() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--max-connection-age", "200ms"]).await;
    let mut client = server.training().await;
    let job = until("the job is accepted", async || {
        Ok(submit(&mut client, "a", endless_job()).await.ok())
    });
    let job_id = job.await.expect("accepted").job_id;
    let (mut events, mut ended) = (Vec::new(), 0);
    // Calls on a connection that is closed may fail too.
    let followed = until("three watches end", async || {
        let request = WatchJobRequest {
            job_id: job_id.clone(),
            after_sequence: events.len() as u64,
        };
        let Ok(stream) = client.watch_job(request).await else {
            return Ok(None);
        };
        let mut stream = stream.into_inner();
        let status = loop {
            match stream.message().await {
                Ok(event) => events.push(event.expect("the job does not end")),
                Err(status) => break status,
            }
        };
        ended += i32::from(status.message().contains("watch again after"));
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        Ok((ended == 3).then_some(()))
    });
    followed.await.expect("followed");
    assert_gapless(&events, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_beyond_the_newest_event_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let job = submit(&mut client, "a", small_job(1))
        .await
        .expect("accepted");
    watch_to_end(&mut client, &job.job_id, 0).await;
    let status = client
        .watch_job(WatchJobRequest {
            job_id: job.job_id,
            after_sequence: 1_000,
        })
        .await
        .expect_err("beyond");
    assert_status(&status, Code::OutOfRange, "after_sequence");
    server.stop().await;
}
