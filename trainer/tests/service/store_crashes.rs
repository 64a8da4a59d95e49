//! The job database after crashes: attempts are counted, and a job that crashes its process again
//! and again is abandoned.

use crate::store_support::{Database, SECOND};
use digits_proto::v1::watch_job_response::Event;
use digits_trainer::{
    job::JobState,
    store::{Recovery, STARTS_AT_MOST},
};
use std::path::Path;

/// Claims a job and lets the process die under it, after so many steps in a bundle.
fn die(folder: &Path, bundle_step: Option<u64>) -> Recovery {
    let database = Database::open(folder);
    let claimed = database.store.claim().expect("claims").expect("a job");
    if let Some(step) = bundle_step {
        database
            .store
            .bundle_kept(claimed.id, step, SECOND)
            .expect("kept");
    }
    drop(database);
    let database = Database::open(folder);
    database
        .runtime
        .block_on(database.store.recover())
        .expect("recovers")
}

#[test]
fn a_job_that_kills_its_process_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = Database::open(folder.path()).submit("a").id;
    for crash in 1..=STARTS_AT_MOST {
        // Always the same place: a bundle that gets no further is no progress.
        let recovery = die(folder.path(), Some(7));
        let given_up = crash == STARTS_AT_MOST;
        assert_eq!(recovery.given_up.len(), usize::from(given_up), "{crash}");
    }
    let database = Database::open(folder.path());
    let job = database.job(id);
    assert_eq!(
        (job.state, job.attempts),
        (JobState::Failed, STARTS_AT_MOST)
    );
    assert!(job.error.contains("3 times in a row"), "{}", job.error);
    assert!(job.error.contains("step 7"), "{}", job.error);
    let events = database.events(id);
    assert!(
        events
            .iter()
            .zip(1..)
            .all(|(event, expected)| event.sequence == expected)
    );
    let last = events.last().and_then(|event| event.event.as_ref());
    assert!(matches!(last, Some(Event::Finished(_))), "{last:?}");
}

#[test]
fn a_job_that_gets_further_between_deaths_is_not_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = Database::open(folder.path()).submit("a").id;
    for step in 1..=5 {
        for _ in 0..STARTS_AT_MOST - 2 {
            assert_eq!(die(folder.path(), None).again, [id]);
        }
        assert_eq!(die(folder.path(), Some(step)).again, [id]);
    }
}

#[test]
fn a_job_on_its_last_attempt_runs_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (suspect, other) = {
        let database = Database::open(folder.path());
        (database.submit("a").id, database.submit("b").id)
    };
    for _ in 1..STARTS_AT_MOST {
        die(folder.path(), None);
    }
    let database = Database::open(folder.path());
    let claim = || database.store.claim().expect("claims").map(|job| job.id);
    assert_eq!(claim(), Some(suspect));
    assert_eq!(claim(), None, "nothing beside it");
    database
        .store
        .bundle_kept(suspect, 1, SECOND)
        .expect("kept");
    assert_eq!(claim(), Some(other), "it got further");
}

#[test]
fn an_orderly_end_is_no_attempt_and_no_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = Database::open(folder.path()).submit("a").id;
    for round in 1..=5 {
        let database = Database::open(folder.path());
        let claimed = database.store.claim().expect("claims").expect("a job");
        assert_eq!((claimed.id, claimed.attempts), (id, 1));
        assert_eq!(claimed.spent, SECOND * (round - 1));
        if round % 2 == 0 {
            database
                .store
                .requeue(id, SECOND * round)
                .expect("put back");
        } else {
            database
                .store
                .append_rows(id, Vec::new(), SECOND * round)
                .expect("noted");
            let all = database.store.requeue_all();
            database.runtime.block_on(all).expect("put back");
        }
    }
    // One whose cancellation was asked for meanwhile does not come back.
    let database = Database::open(folder.path());
    database.store.claim().expect("claims").expect("a job");
    let cancelled = database.runtime.block_on(database.store.cancel(id));
    assert!(cancelled.expect("marked").cancel_requested);
    database.store.requeue(id, SECOND).expect("put back");
    assert_eq!(database.job(id).state, JobState::Cancelled);
    assert!(database.store.claim().expect("claims").is_none());
}
