//! A storage that fails, and checkpoints that the last process left half-written: the job's error
//! and the recovery at the next start.

use crate::child::wait_for_starts;
use crate::store_support::supervisor;
use crate::support::{Server, assert_gapless, get, small_job, submit, watch, watch_to_end};
use digits_checkpoint::{
    Storage,
    id::CheckpointId,
    serving::{Policy, Scope},
};
use digits_proto::v1::{JobState, watch_job_response::Event};
use digits_trainer::{
    job::JobId,
    store::{CheckpointIntent, IntentState, Store},
};
use std::fs;

/// A file in the place of the checkpoints folder: nothing can be written there, not even by root.
#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_fails_for_too_long_fails_the_job_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--max-outage", "300ms"]).await;
    let mut client = server.training().await;
    let checkpoints = folder.path().join("storage/checkpoints");
    drop(fs::remove_dir_all(&checkpoints));
    fs::write(&checkpoints, "in the way").expect("written");

    let job = submit(&mut client, "a", small_job(3))
        .await
        .expect("accepted");
    let events = watch_to_end(&mut client, &job.job_id, 0).await;
    assert_gapless(&events, 1);
    let job = get(&mut client, &job.job_id).await;
    assert_eq!(job.state(), JobState::Failed);
    assert!(job.error.contains("checkpoint of epoch 1"), "{}", job.error);
    assert!(job.error.contains("storage"), "{}", job.error);
    assert!(!job.error.contains('/'), "no path goes out: {}", job.error);
    assert!(job.checkpoint_ids.is_empty());

    // The trainer runs the next job.
    fs::remove_file(&checkpoints).expect("removed");
    let next = submit(&mut client, "b", small_job(1))
        .await
        .expect("accepted");
    watch_to_end(&mut client, &next.job_id, 0).await;
    assert_eq!(
        get(&mut client, &next.job_id).await.state(),
        JobState::Succeeded
    );
    server.stop().await;
}

/// Writes a checkpoint's intent into the database of a trainer that is not running.
async fn plan(folder: &std::path::Path, id: CheckpointId, job: JobId) {
    wait_for_starts();
    let store = Store::open(&folder.join("state"), &supervisor()).expect("the database");
    let planned = store.plan_checkpoint(CheckpointIntent {
        id,
        job,
        epoch: 1,
        step: 27,
        promotion: Policy::Latest,
        scope: Scope::Any,
        weights_sha256: "other".to_owned(),
        state: IntentState::Planned,
        serving_sequence: 0,
    });
    planned.await.expect("planned");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_finishes_or_abandons_unfinished_checkpoints() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let spec = digits_proto::v1::JobSpec {
        promotion: digits_proto::v1::PromotionPolicy::Manual.into(),
        ..small_job(1)
    };
    let job = submit(&mut client, "a", spec).await.expect("accepted");
    watch_to_end(&mut client, &job.job_id, 0).await;
    let source = get(&mut client, &job.job_id).await.checkpoint_ids.remove(0);
    server.stop().await;

    // One checkpoint with its manifest, as after a crash right behind the commit, and one with its
    // model alone.
    let (committed, half) = (CheckpointId::generate(), CheckpointId::generate());
    let checkpoints = folder.path().join("storage/checkpoints");
    for (id, files) in [
        (
            committed,
            &["model.safetensors", "exam.safetensors", "manifest.json"][..],
        ),
        (half, &["model.safetensors"][..]),
    ] {
        let target = checkpoints.join(id.to_string());
        fs::create_dir_all(&target).expect("made");
        for file in files {
            let bytes = fs::read(checkpoints.join(&source).join(file)).expect("read");
            let text = String::from_utf8_lossy(&bytes).replace(&source, &id.to_string());
            let bytes = if *file == "manifest.json" {
                text.into_bytes()
            } else {
                bytes
            };
            fs::write(target.join(file), bytes).expect("written");
        }
        plan(folder.path(), id, job.job_id.parse().expect("an id")).await;
    }

    let server = Server::start(folder.path(), &[]).await;
    let mut client = server.training().await;
    let job = get(&mut client, &job.job_id).await;
    assert_eq!(job.checkpoint_ids, [source, committed.to_string()]);
    let storage =
        Storage::open(&folder.path().join("storage").display().to_string()).expect("open");
    let head = digits_checkpoint::serving::head(&storage, &"digits".parse().expect("a name"))
        .await
        .expect("read")
        .expect("a record");
    assert_eq!(
        head.primary(),
        Some(committed),
        "its promotion was carried out too"
    );
    assert!(
        digits_checkpoint::manifest(&storage, half)
            .await
            .expect("read")
            .is_none()
    );
    // Nothing follows the end of a job, not even this.
    let events = watch(&mut client, &job.job_id, 0, |_| false).await;
    let last = events.last().and_then(|event| event.event.as_ref());
    assert!(matches!(last, Some(Event::Finished(_))), "{last:?}");
    server.stop().await;
}
