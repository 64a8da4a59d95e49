//! Attempts that end while their output is on its way: by a crash between the last checkpoint and
//! the job's outcome, and by a shutdown while the storage fails.

use crate::{
    child::{Process, service, wait_for_starts},
    metrics::scraped,
    store_support::supervisor,
    support::{get, small_job, submit, training, watch, watch_to_end},
};
use digits_proto::v1::{JobSpec, JobState, watch_job_response::Event};
use digits_trainer::store::Store;
use rustix::process::Signal;
use std::{fs, path::Path};

/// Executes SQL in the job database of a trainer that is not running.
async fn execute(state: &Path, sql: &str) {
    wait_for_starts();
    let store = Store::open(state, &supervisor()).expect("the database");
    store.close().await;
    let database = rusqlite::Connection::open(state.join("jobs.sqlite3")).expect("open");
    database.execute_batch(sql).expect("executed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_committed_before_a_crash_gets_no_second_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, ready_file) = (folder.path().join("state"), folder.path().join("ready"));
    // No outcome can be written, so that the crash comes before it.
    execute(
        &state,
        "CREATE TRIGGER no_outcome BEFORE UPDATE OF error ON jobs
         BEGIN SELECT RAISE(FAIL, 'no outcome'); END",
    )
    .await;
    let mut trainer = Process::start(&mut service(folder.path(), &ready_file), "");
    let addresses = trainer.ready(&ready_file).await;
    let mut client = training(addresses.grpc).await;
    let spec = JobSpec {
        report: Some(true),
        ..small_job(1)
    };
    let job = submit(&mut client, "a", spec).await.expect("accepted");
    let id = &job.job_id;
    let published = |event: &Event| matches!(event, Event::CheckpointPublished(_));
    watch(&mut client, id, 0, published).await;
    trainer
        .logged("the outcome of a job could not be written")
        .await;
    let checkpoints = get(&mut client, id).await.checkpoint_ids;
    assert_eq!(checkpoints.len(), 1);
    trainer.end_by(Signal::KILL).await;

    execute(&state, "DROP TRIGGER no_outcome").await;
    fs::remove_file(&ready_file).expect("removed");
    let mut trainer = Process::start(&mut service(folder.path(), &ready_file), "");
    let addresses = trainer.ready(&ready_file).await;
    let mut client = training(addresses.grpc).await;
    watch_to_end(&mut client, id, 0).await;
    let job = get(&mut client, id).await;
    assert_eq!(job.state(), JobState::Succeeded, "{}", job.error);
    assert_eq!(job.checkpoint_ids, checkpoints);
    let text = scraped(addresses.admin, "/metrics").await;
    for result in ["made", "failed"] {
        let none = format!("digits_trainer_reports_total{{result=\"{result}\"}} 0");
        assert!(text.contains(&none), "no {none} in\n{text}");
    }
    drop(client);
    let ended = trainer.end_by(Signal::TERM).await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_a_shutdown_interrupts_is_logged_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let ready_file = folder.path().join("ready");
    let mut trainer = Process::start(&mut service(folder.path(), &ready_file), "");
    let addresses = trainer.ready(&ready_file).await;
    // A file in the place of the checkpoints folder: nothing can be written there.
    let checkpoints = folder.path().join("storage/checkpoints");
    drop(fs::remove_dir_all(&checkpoints));
    fs::write(&checkpoints, "in the way").expect("written");
    let mut client = training(addresses.grpc).await;
    let submitted = submit(&mut client, "a", small_job(1)).await;
    submitted.expect("accepted");
    trainer
        .logged("output of a job cannot be written; retrying")
        .await;
    drop(client);
    let ended = trainer.end_by(Signal::TERM).await;
    let cause = "the checkpoint of epoch 1 was not published";
    assert_eq!(ended.log.matches(cause).count(), 1, "{}", ended.log);
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}
