//! CheckpointService over gRPC, and the publish and promotion policies of jobs: which checkpoint
//! serves, holds, rollbacks, refused promotions, retention.

use crate::support::{
    Server, assert_status, endless_job, get, is_row, small_job, submit, watch, watch_to_end,
};
use digits_checkpoint::{
    Storage,
    retention::{Rules, apply},
};
use digits_proto::v1::{
    Job, JobSpec, JobState, ListCheckpointsRequest, ListServingRequest, PromoteRequest,
    PromotionPolicy, PublishPolicy, PublishSpec, ReleaseRequest, RollbackRequest, ServingReason,
    ServingRecord, ServingRole, Sgd, checkpoint_service_client::CheckpointServiceClient,
    job_spec::Optimizer, training_service_client::TrainingServiceClient, watch_job_response::Event,
};
use digits_testing::until;
use jiff::SignedDuration;
use std::{collections::BTreeSet, path::Path};
use tonic::{Code, Status, transport::Channel};

type Checkpoints = CheckpointServiceClient<Channel>;
type Training = TrainingServiceClient<Channel>;

/// A job of `epochs` with these policies.
fn job(epochs: u32, publish: PublishPolicy, promotion: PromotionPolicy) -> JobSpec {
    JobSpec {
        publish: Some(PublishSpec {
            policy: publish.into(),
        }),
        promotion: promotion.into(),
        ..small_job(epochs)
    }
}

/// The same at this learning rate.
fn at_rate(rate: f64, spec: JobSpec) -> JobSpec {
    JobSpec {
        optimizer: Some(Optimizer::Sgd(Sgd {
            learning_rate: Some(rate),
            ..Sgd::default()
        })),
        ..spec
    }
}

/// Runs a job to its end; the job, and the (epoch, serving record) of each checkpoint it published.
async fn run(training: &mut Training, name: &str, spec: JobSpec) -> (Job, Vec<(u32, u64)>) {
    let submitted = submit(training, name, spec).await.expect("accepted");
    let events = watch_to_end(training, &submitted.job_id, 0).await;
    let done = get(training, &submitted.job_id).await;
    assert_eq!(done.state(), JobState::Succeeded, "{}", done.error);
    let published = events.into_iter().filter_map(|event| match event.event {
        Some(Event::CheckpointPublished(it)) => Some((it.epoch, it.sequence)),
        _ => None,
    });
    (done, published.collect())
}

async fn log(client: &mut Checkpoints) -> Vec<ServingRecord> {
    let request = ListServingRequest {
        model: "digits".to_owned(),
        ..ListServingRequest::default()
    };
    let answer = client.list_serving(request).await.expect("the log");
    answer.into_inner().records
}

async fn promote(
    client: &mut Checkpoints,
    checkpoint_id: &str,
    expected_sequence: u64,
) -> Result<ServingRecord, Status> {
    let request = PromoteRequest {
        model: "digits".to_owned(),
        checkpoint_id: checkpoint_id.to_owned(),
        expected_sequence,
        ..PromoteRequest::default()
    };
    let answer = client.promote(request).await?.into_inner();
    Ok(answer.record.expect("a record"))
}

async fn rollback(
    client: &mut Checkpoints,
    expected_sequence: u64,
    to_sequence: u64,
) -> Result<ServingRecord, Status> {
    let request = RollbackRequest {
        model: "digits".to_owned(),
        expected_sequence,
        to_sequence,
        by: "a test".to_owned(),
    };
    let answer = client.rollback(request).await?.into_inner();
    Ok(answer.record.expect("a record"))
}

async fn release(client: &mut Checkpoints, expected: u64) -> Result<ServingRecord, Status> {
    let request = ReleaseRequest {
        model: "digits".to_owned(),
        expected_sequence: expected,
        by: "a test".to_owned(),
    };
    let answer = client.release(request).await?.into_inner();
    Ok(answer.record.expect("a record"))
}

fn served(record: &ServingRecord) -> &str {
    &record.routes[0].checkpoint_id
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_publish_by_their_policy() {
    use PromotionPolicy::Manual;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let (_, every) = run(
        &mut client,
        "every",
        job(3, PublishPolicy::EveryEpoch, Manual),
    )
    .await;
    assert_eq!(every, [(1, 0), (2, 0), (3, 0)]);
    let (_, last) = run(&mut client, "final", job(3, PublishPolicy::Final, Manual)).await;
    assert_eq!(last, [(3, 0)]);
    // So small a rate moves no float32: no epoch is better than the first.
    let best = job(3, PublishPolicy::Best, Manual);
    let (_, still) = run(&mut client, "still", at_rate(1e-30, best.clone())).await;
    assert_eq!(still, [(1, 0)]);
    let (learnt, better) = run(&mut client, "learns", at_rate(0.05, best)).await;
    assert!(better.len() > 1, "{better:?}");
    let request = ListCheckpointsRequest {
        job_id: learnt.job_id,
        ..ListCheckpointsRequest::default()
    };
    let mut checkpoints = server.checkpoints().await;
    let listed = checkpoints.list_checkpoints(request).await.expect("listed");
    let loss = |index: usize| {
        let newest_first = &listed.get_ref().checkpoints;
        newest_first[index].validation.as_ref().map(|it| it.loss)
    };
    for index in 1..better.len() {
        assert!(loss(index - 1) < loss(index), "{listed:?}");
    }
    assert!(log(&mut checkpoints).await.is_empty(), "manual serves none");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_promoted_by_the_policy_of_their_job() {
    use PublishPolicy::Final;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let (mut client, mut checkpoints) = (server.training().await, server.checkpoints().await);
    let latest = |epochs| job(epochs, Final, PromotionPolicy::Latest);
    let if_better = |epochs| job(epochs, Final, PromotionPolicy::IfBetter);

    let (good, published) = run(&mut client, "good", at_rate(0.05, latest(2))).await;
    assert_eq!(published, [(2, 1)]);
    let (_, worse) = run(&mut client, "worse", at_rate(1e-30, if_better(1))).await;
    assert_eq!(worse, [(1, 0)], "it is not better than what serves");
    assert_eq!(
        served(&log(&mut checkpoints).await[0]),
        good.checkpoint_ids[0]
    );
    let (bad, published) = run(&mut client, "bad", at_rate(1e-30, latest(1))).await;
    assert_eq!(published, [(1, 2)], "the latest serves, better or not");
    let (best, published) = run(&mut client, "best", at_rate(0.05, if_better(3))).await;
    assert_eq!(published, [(3, 3)], "it is better than what serves");
    // Other data: no figure to compare by.
    let mut other = at_rate(0.05, if_better(6));
    if let Some(synthetic) = other.data.as_mut().and_then(|data| data.synthetic.as_mut()) {
        synthetic.seed = Some(2);
    }
    let (_, published) = run(&mut client, "other", other).await;
    assert_eq!(published, [(6, 0)]);

    let records = log(&mut checkpoints).await;
    let serves: Vec<&str> = records.iter().map(served).collect();
    let expected = [&best, &bad, &good].map(|job| job.checkpoint_ids[0].as_str());
    assert_eq!(serves, expected);
    let published = |record: &ServingRecord| record.reason() == ServingReason::Published;
    assert!(
        records
            .iter()
            .all(|record| published(record) && !record.hold)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_hold_roll_back_and_release_while_a_job_publishes() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let (mut client, mut checkpoints) = (server.training().await, server.checkpoints().await);
    let (first, _) = run(&mut client, "first", small_job(2)).await;
    let ids = &first.checkpoint_ids;

    // Decided on what is not the newest any more, or not there at all.
    for stale in [0, 1] {
        let lost = rollback(&mut checkpoints, stale, 0)
            .await
            .expect_err("stale");
        assert_status(&lost, Code::Aborted, "newest record, which is 2");
        let lost = promote(&mut checkpoints, &ids[0], stale).await;
        assert_status(&lost.expect_err("stale"), Code::Aborted, "2");
        let lost = release(&mut checkpoints, stale).await.expect_err("stale");
        assert_status(&lost, Code::Aborted, "2");
    }
    let early = rollback(&mut checkpoints, 9, 0).await.expect_err("no such");
    assert_status(&early, Code::NotFound, "9");
    let primary = log(&mut checkpoints).await[0].routes[0]
        .checkpoint_id
        .clone();
    let itself = PromoteRequest {
        model: "digits".to_owned(),
        checkpoint_id: primary,
        expected_sequence: 2,
        role: ServingRole::Shadow.into(),
        ..PromoteRequest::default()
    };
    let itself = checkpoints
        .promote(itself)
        .await
        .expect_err("a primary cannot be its own candidate");
    assert_status(
        &itself,
        Code::InvalidArgument,
        "checkpoint_id: this checkpoint is the primary",
    );
    let free = release(&mut checkpoints, 2).await.expect_err("not held");
    assert_status(&free, Code::FailedPrecondition, "has no hold");

    // While a job runs, an operator goes back; what the job publishes later does not pass.
    let running = submit(&mut client, "running", endless_job())
        .await
        .expect("accepted");
    watch(&mut client, &running.job_id, 0, is_row).await;
    let back = rollback(&mut checkpoints, 2, 0).await.expect("rolled back");
    assert_eq!((served(&back), back.hold), (ids[0].as_str(), true));
    assert_eq!(
        (back.reason(), back.by.as_str()),
        (ServingReason::RolledBack, "a test")
    );
    let cancel = digits_proto::v1::CancelJobRequest {
        job_id: running.job_id.clone(),
    };
    client.cancel_job(cancel).await.expect("cancelled");
    let (held, published) = run(&mut client, "held", small_job(1)).await;
    assert_eq!(published, [(1, 0)], "a hold is not passed");
    assert_eq!(log(&mut checkpoints).await[0].sequence, 3);

    // Promoted by hand, held again, released: the next one is promoted by itself.
    let by_hand = promote(&mut checkpoints, &held.checkpoint_ids[0], 3).await;
    assert!(by_hand.expect("promoted").hold);
    let (_, published) = run(&mut client, "still held", small_job(1)).await;
    assert_eq!(published, [(1, 0)]);
    let released = release(&mut checkpoints, 4).await.expect("released");
    assert_eq!(served(&released), held.checkpoint_ids[0]);
    assert!(!released.hold);
    let (_, published) = run(&mut client, "free", small_job(1)).await;
    assert_eq!(published, [(1, 6)]);
    assert_pages(&mut checkpoints).await;
    server.stop().await;
}

/// The log of six records in pages of four.
async fn assert_pages(client: &mut Checkpoints) {
    let mut request = ListServingRequest {
        model: "digits".to_owned(),
        page_size: 4,
        ..ListServingRequest::default()
    };
    let mut sequences = Vec::new();
    for count in [4, 2] {
        let page = client.list_serving(request.clone()).await.expect("a page");
        let page = page.into_inner();
        assert_eq!(page.records.len(), count);
        sequences.extend(page.records.iter().map(|record| record.sequence));
        assert_eq!(page.next_page_token.is_empty(), count == 2);
        request.page_token = page.next_page_token;
    }
    assert_eq!(sequences, [6, 5, 4, 3, 2, 1]);
    request.page_token = "of another list".to_owned();
    let error = client.list_serving(request).await.expect_err("no token");
    assert_eq!(error.code(), Code::InvalidArgument);
}

fn storage(folder: &Path) -> Storage {
    Storage::open(&folder.join("storage").display().to_string()).expect("open")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_marked_for_deletion_is_not_promoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let (mut client, mut checkpoints) = (server.training().await, server.checkpoints().await);
    let (served, _) = run(&mut client, "served", small_job(1)).await;
    let manual = job(1, PublishPolicy::Final, PromotionPolicy::Manual);
    let (unneeded, _) = run(&mut client, "unneeded", manual).await;
    let strict = Rules {
        keep_newest: 0,
        keep_younger: SignedDuration::ZERO,
        ..Rules::default()
    };
    let now = jiff::Timestamp::now();
    let report = apply(&storage(folder.path()), &strict, &BTreeSet::new(), now).await;
    let buried: Vec<String> = report
        .expect("applied")
        .buried
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(buried, unneeded.checkpoint_ids);

    let refused = promote(&mut checkpoints, &unneeded.checkpoint_ids[0], 1).await;
    assert_status(
        &refused.expect_err("refused"),
        Code::FailedPrecondition,
        "deletion",
    );
    let unknown = "00000000-0000-7000-8000-000000000000";
    let refused = promote(&mut checkpoints, unknown, 1)
        .await
        .expect_err("unknown");
    assert_status(&refused, Code::NotFound, unknown);
    promote(&mut checkpoints, &served.checkpoint_ids[0], 1)
        .await
        .expect("promoted");
    server.stop().await;
}

/// A newer program writes to the same log: the list shows what it can read.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_newer_format_do_not_break_the_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let (done, _) = run(&mut server.training().await, "served", small_job(1)).await;
    let newer = format!("storage/serving/digits/{:020}.json", 2);
    std::fs::write(folder.path().join(newer), r#"{"format": 99}"#).expect("written");
    let mut client = server.checkpoints().await;
    let records = log(&mut client).await;
    let [unknown, known] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert_eq!((unknown.sequence, unknown.not_understood), (2, true));
    assert!(unknown.routes.is_empty());
    assert_eq!(served(known), done.checkpoint_ids[0]);
    assert!(!known.not_understood);
    let unknown = release(&mut client, 2).await.expect_err("not understood");
    assert_status(&unknown, Code::FailedPrecondition, "cannot be understood");
    let record = promote(&mut client, &done.checkpoint_ids[0], 2).await;
    assert_eq!(record.expect("past it").sequence, 3);
    server.stop().await;
}

/// Waits until these checkpoints are left, and no others; they must stay all the time.
async fn until_left(storage: &Storage, kept: &[&String]) {
    let left = until("nothing else is left", async || {
        let found = digits_checkpoint::list_checkpoints(storage).await?;
        let left: Vec<String> = found.iter().map(|it| it.id.to_string()).collect();
        assert!(kept.iter().all(|id| left.contains(*id)), "{left:?}");
        Ok((left.len() == kept.len()).then_some(()))
    });
    left.await.expect("left");
}

/// The retention sweep keeps what a serving record names and what a running job started from.
#[tokio::test(flavor = "multi_thread")]
async fn the_retention_sweep_deletes_unneeded_checkpoints() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = [
        ["--workers", "2"],
        ["--retention-interval", "100ms"],
        ["--retention-keep", "1"],
        ["--retention-age", "0"],
        ["--retention-grace", "300ms"],
    ];
    let server = Server::start(folder.path(), flags.as_flattened()).await;
    let mut client = server.training().await;
    let (served, _) = run(&mut client, "served", small_job(1)).await;
    let manual = job(1, PublishPolicy::Final, PromotionPolicy::Manual);
    let (parent, _) = run(&mut client, "parent", manual).await;
    let heir = JobSpec {
        init_from: Some(parent.checkpoint_ids[0].clone()),
        ..endless_job()
    };
    let heir = submit(&mut client, "heir", heir).await.expect("accepted");
    let manual = job(3, PublishPolicy::EveryEpoch, PromotionPolicy::Manual);
    let (unneeded, _) = run(&mut client, "unneeded", manual).await;
    let storage = storage(folder.path());
    // The newest is kept by its age, the served one by its record, the parent by the job that runs.
    let (newest, served) = (&unneeded.checkpoint_ids[2], &served.checkpoint_ids[0]);
    until_left(&storage, &[newest, served, &parent.checkpoint_ids[0]]).await;
    let cancel = digits_proto::v1::CancelJobRequest {
        job_id: heir.job_id.clone(),
    };
    client.cancel_job(cancel).await.expect("cancelled");
    until_left(&storage, &[newest, served]).await;
    // The manifest goes first, the folder last.
    let checkpoints = folder.path().join("storage/checkpoints");
    let gone = [&unneeded.checkpoint_ids[..2], &parent.checkpoint_ids].concat();
    let removed = until("the folders are removed", async || {
        let left = gone.iter().any(|id| checkpoints.join(id).exists());
        Ok((!left).then_some(()))
    });
    removed.await.expect("removed");
    server.stop().await;
}
