//! What the promotion of a job's checkpoints replaces, what is held back, and the marks of jobs that
//! did not get to their end.

use crate::{
    child::wait_for_starts,
    datasets::{job_on, letters, push},
    store_support::supervisor,
    support::{Server, get, reach, small_job, submit, watch, watch_to_end},
};
use digits_checkpoint::{
    Storage,
    id::CheckpointId,
    serving::{NotPromoted, Policy, Scope, head},
    unfinished::{self, Unfinished},
};
use digits_proto::v1::{
    CancelJobRequest, Checkpoint, CheckpointPublished, GetCheckpointRequest, Job, JobSpec,
    JobState, ListCheckpointsRequest, NotPromotedReason, PromoteRequest, PromotionDecision, Sgd,
    job_spec::Optimizer, training_service_client::TrainingServiceClient, watch_job_response::Event,
};
use digits_testing::until;
use digits_trainer::store::{CheckpointIntent, IntentState, Store};
use std::{collections::HashMap, fs, path::Path};
use tonic::{Code, transport::Channel};

/// Runs a job to its end; the job, and its checkpoints' events.
async fn run(server: &Server, name: &str, spec: JobSpec) -> (Job, Vec<CheckpointPublished>) {
    let mut client = server.training().await;
    let job = submit(&mut client, name, spec).await.expect("accepted");
    let events = watch_to_end(&mut client, &job.job_id, 0).await;
    let job = get(&mut client, &job.job_id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    let published = events.into_iter().filter_map(|event| match event.event {
        Some(Event::CheckpointPublished(it)) => Some(it),
        _ => None,
    });
    (job, published.collect())
}

/// A job that has published a checkpoint and would train on for long.
async fn long_job(client: &mut TrainingServiceClient<Channel>) -> String {
    let job = submit(client, "a", small_job(10_000)).await;
    let job = job.expect("accepted").job_id;
    watch(client, &job, 0, |event| {
        matches!(event, Event::CheckpointPublished(_))
    })
    .await;
    job
}

async fn cancel(client: &mut TrainingServiceClient<Channel>, job: &str) {
    let request = CancelJobRequest {
        job_id: job.to_owned(),
    };
    client.cancel_job(request).await.expect("cancelled");
    reach(client, job, JobState::Cancelled).await;
}

fn of_model(model: &str, spec: JobSpec) -> JobSpec {
    JobSpec {
        model: Some(model.to_owned()),
        ..spec
    }
}

fn decision(event: &CheckpointPublished) -> PromotionDecision {
    event.promotion.clone().expect("a decision")
}

async fn checkpoint(server: &Server, checkpoint_id: &str) -> Checkpoint {
    let request = GetCheckpointRequest {
        checkpoint_id: checkpoint_id.to_owned(),
    };
    let answer = server.checkpoints().await.get_checkpoint(request).await;
    let found = answer.expect("the checkpoint").into_inner().checkpoint;
    found.expect("a checkpoint")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_other_data_replaces_the_default_model_only_if_it_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    push(folder.path(), letters(0), "letters").await;
    let (digits, _) = run(&server, "digits", small_job(1)).await;

    let (held, events) = run(&server, "letters", job_on("letters")).await;
    let why = decision(&events[0]);
    assert_eq!(events[0].sequence, 0);
    assert_eq!(why.not_promoted(), NotPromotedReason::OtherData);
    assert_eq!(
        why.explanation,
        "it was trained on the data set letters, and the model digits serves a checkpoint trained on synthetic"
    );
    let before = why.before.as_ref().expect("what serves");
    assert_eq!((before.sequence, &before.job_id), (1, &digits.job_id));
    // The same in the job and in its checkpoint, also after a restart.
    server.stop().await;
    let server = Server::start(folder.path(), &[]).await;
    let again = get(&mut server.training().await, &held.job_id).await;
    assert_eq!(again.promotion.as_ref(), Some(&why));
    assert_eq!((again.replaced, again.checkpoint_count), (None, 1));
    let found = checkpoint(&server, &held.checkpoint_ids[0]).await;
    assert_eq!(found.promotion, Some(why));
    assert_eq!(found.job_state(), JobState::Succeeded);

    // A model of its own, whose first checkpoint is promoted, and the default model by name.
    let (_, events) = run(&server, "own", of_model("letters", job_on("letters"))).await;
    let first = decision(&events[0]);
    assert_eq!((first.sequence, first.before), (1, None));
    let (_, events) = run(&server, "named", of_model("digits", job_on("letters"))).await;
    assert_eq!(events[0].sequence, 2);
    // Now the digits are the other data.
    let (_, events) = run(&server, "back", small_job(1)).await;
    assert_eq!(events[0].sequence, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_says_what_it_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let (first, _) = run(&server, "first", small_job(2)).await;
    assert_eq!(first.replaced, None);
    let (second, events) = run(&server, "second", small_job(2)).await;
    let [one, two] = &events[..] else {
        panic!("{events:?}");
    };
    let replaced = decision(one).before.expect("replaced");
    assert_eq!(replaced.checkpoint_id, first.checkpoint_ids[1]);
    assert_eq!((replaced.sequence, &replaced.job_id), (2, &first.job_id));
    assert_eq!(replaced.dataset, "synthetic");
    let validated = checkpoint(&server, &first.checkpoint_ids[1]).await;
    let accuracy = validated.validation.map(|it| it.accuracy);
    assert_eq!(replaced.accuracy, accuracy);
    // The second checkpoint replaces the first one of its job; the job replaced the other's.
    let own = decision(two).before.expect("replaced");
    assert_eq!(own.checkpoint_id, second.checkpoint_ids[0]);
    assert_eq!(second.replaced, Some(replaced));
    assert_eq!(second.promotion, Some(decision(two)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_of_the_operator_holds_back_what_is_clearly_worse() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--promotion-guard", "0.02"]).await;
    let at_rate = |rate| JobSpec {
        optimizer: Some(Optimizer::Sgd(Sgd {
            learning_rate: Some(rate),
            ..Sgd::default()
        })),
        ..small_job(3)
    };
    // The first checkpoint of a model is never held back.
    let (_, events) = run(&server, "bad", at_rate(1e-6)).await;
    assert_eq!(events[0].sequence, 1);
    let (good, _) = run(&server, "good", at_rate(0.1)).await;
    let served = good.promotion.expect("a decision");
    let (_, events) = run(&server, "worse", at_rate(1e-6)).await;
    for event in &events {
        let why = decision(event);
        assert_eq!(why.not_promoted(), NotPromotedReason::Guard, "{why:?}");
        let before = why.before.expect("what serves");
        assert_eq!(before.checkpoint_id, served.checkpoint_id);
        assert!(before.accuracy > Some(why.accuracy.expect("validated") + 0.02));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_of_cancelled_and_failed_jobs_are_marked() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let job = long_job(&mut client).await;
    let states = async |server: &Server| {
        let request = ListCheckpointsRequest {
            job_id: job.clone(),
            page_size: 1,
            ..ListCheckpointsRequest::default()
        };
        let listed = server.checkpoints().await.list_checkpoints(request).await;
        let listed = listed.expect("listed").into_inner().checkpoints;
        let found = checkpoint(server, &listed[0].checkpoint_id).await;
        (listed[0].job_state(), found.job_state())
    };
    assert_eq!(
        states(&server).await,
        (JobState::Running, JobState::Running)
    );
    cancel(&mut client, &job).await;
    let cancelled = (JobState::Cancelled, JobState::Cancelled);
    assert_eq!(states(&server).await, cancelled);
    server.stop().await;
    let server = Server::start(folder.path(), &[]).await;
    assert_eq!(states(&server).await, cancelled, "after a restart");
    server.stop().await;

    // Readers without this trainer's database have the mark on the storage.
    let storage = Storage::open(&folder.path().join("storage").display().to_string());
    let storage = storage.expect("open");
    let marked = HashMap::from([(job.clone(), Unfinished::Cancelled)]);
    assert_eq!(unfinished::list(&storage).await.expect("listed"), marked);
    fs::rename(folder.path().join("state"), folder.path().join("lost")).expect("moved");
    let server = Server::start(folder.path(), &[]).await;
    assert_eq!(states(&server).await, cancelled, "of another trainer");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_cannot_be_written_is_written_once_the_storage_takes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let job = long_job(&mut client).await;
    // A file stands where the folder of the marks would be.
    let jobs = folder.path().join("storage/jobs");
    fs::write(&jobs, "").expect("written");
    cancel(&mut client, &job).await;
    server.stop().await;

    let server = Server::start(folder.path(), &[]).await;
    // Answered after the recovery.
    get(&mut server.training().await, &job).await;
    fs::remove_file(&jobs).expect("removed");
    let storage = Storage::open(&folder.path().join("storage").display().to_string());
    let storage = storage.expect("open");
    // No job starts or ends meanwhile.
    let marked = until("the job is marked", async || {
        let marks = unfinished::list(&storage).await?;
        Ok((marks.get(&job) == Some(&Unfinished::Cancelled)).then_some(()))
    });
    marked.await.expect("marked");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_author_of_a_record_is_as_long_as_the_storage_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let (job, _) = run(&server, "a", small_job(1)).await;
    let mut client = server.checkpoints().await;
    let request = |length: usize| PromoteRequest {
        model: "digits".to_owned(),
        checkpoint_id: job.checkpoint_ids[0].clone(),
        expected_sequence: 1,
        by: "é".repeat(length),
        ..PromoteRequest::default()
    };
    let refused = client.promote(request(201)).await.expect_err("too long");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("200"), "{refused:?}");
    let promoted = client.promote(request(200)).await.expect("promoted");
    let record = promoted.into_inner().record.expect("a record");
    assert_eq!(record.by.chars().count(), 200);
    server.stop().await;
}

/// Copies a checkpoint under a new id, as one that was trained on other data.
fn copy_of_other_data(folder: &Path, source: &str, id: CheckpointId) {
    let checkpoints = folder.join("storage/checkpoints");
    let target = checkpoints.join(id.to_string());
    fs::create_dir_all(&target).expect("made");
    for file in ["model.safetensors", "exam.safetensors"] {
        fs::copy(checkpoints.join(source).join(file), target.join(file)).expect("copied");
    }
    let text = fs::read_to_string(checkpoints.join(source).join("manifest.json")).expect("read");
    let mut manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    manifest["id"] = id.to_string().into();
    manifest["lineage"]["dataset"] = "letters".into();
    manifest["lineage"]["dataset_digest"] = "other".into();
    fs::write(target.join("manifest.json"), manifest.to_string()).expect("written");
}

/// As after a kill between the commit and the decision: the next start decides by the same rules.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_a_crash_interrupted_is_made_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let (job, _) = run(&server, "a", small_job(1)).await;
    server.stop().await;

    let cases = [
        (CheckpointId::generate(), Scope::SameData, 0),
        (CheckpointId::generate(), Scope::Any, 2),
    ];
    wait_for_starts();
    let store = Store::open(&folder.path().join("state"), &supervisor()).expect("the database");
    for (id, scope, _) in cases {
        copy_of_other_data(folder.path(), &job.checkpoint_ids[0], id);
        let intent = CheckpointIntent {
            id,
            job: job.job_id.parse().expect("an id"),
            epoch: 1,
            step: 27,
            promotion: Policy::Latest,
            scope,
            weights_sha256: "other".to_owned(),
            state: IntentState::Planned,
            serving_sequence: 0,
        };
        store.plan_checkpoint(intent).await.expect("planned");
    }
    store.close().await;

    let server = Server::start(folder.path(), &[]).await;
    // Answered after the recovery.
    get(&mut server.training().await, &job.job_id).await;
    server.stop().await;
    wait_for_starts();
    let store = Store::open(&folder.path().join("state"), &supervisor()).expect("the database");
    let ids = cases.map(|(id, ..)| id).to_vec();
    let found = store.publications(ids).await.expect("read");
    for (id, _, sequence) in cases {
        let decision = found[&id].decision.clone().expect("decided");
        assert_eq!(decision.sequence, sequence, "{decision:?}");
        let expected = (sequence == 0).then_some(NotPromoted::OtherData);
        assert_eq!(decision.not_promoted, expected);
    }
    store.close().await;
    let storage = Storage::open(&folder.path().join("storage").display().to_string());
    let newest = head(&storage.expect("open"), &"digits".parse().expect("a name")).await;
    let newest = newest.expect("read").expect("a record");
    assert_eq!(newest.primary(), Some(cases[1].0));
}
