//! The job database after crashes: attempts are counted, and a job that crashes its process
//! repeatedly is abandoned.

use crate::store_support::{Database, SECOND};
use digits_proto::v1::watch_job_response::Event;
use digits_trainer::{
    job::JobState,
    store::{MAX_CRASHES, Machine, Recovery, Survivors},
};
use std::path::Path;

/// Claims a job and simulates a crash of its process, after a bundle with this many steps.
fn die(folder: &Path, bundle_step: Option<u64>) -> Recovery {
    let database = Database::open(folder);
    let claimed = database
        .store
        .claim(Machine::Shared)
        .expect("claims")
        .expect("a job");
    if let Some(step) = bundle_step {
        database.record_bundle(claimed.id, step);
    }
    drop(database);
    let database = Database::open(folder);
    database
        .runtime
        .block_on(database.store.recover(Survivors::Nothing))
        .expect("recovers")
}

#[test]
fn a_job_that_kills_its_process_is_abandoned() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = Database::open(folder.path()).submit("a").id;
    for crash in 1..=MAX_CRASHES {
        // Always the same place: a bundle that gets no further is no progress.
        let recovery = die(folder.path(), Some(7));
        let abandoned = crash == MAX_CRASHES;
        assert_eq!(recovery.abandoned.len(), usize::from(abandoned), "{crash}");
    }
    let database = Database::open(folder.path());
    let job = database.job(id);
    assert_eq!((job.state, job.attempts), (JobState::Failed, MAX_CRASHES));
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
fn a_job_that_progresses_between_crashes_is_not_abandoned() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = Database::open(folder.path()).submit("a").id;
    for step in 1..=5 {
        for _ in 0..MAX_CRASHES - 2 {
            assert_eq!(die(folder.path(), None).resumed, [id]);
        }
        assert_eq!(die(folder.path(), Some(step)).resumed, [id]);
    }
}

#[test]
fn a_job_on_its_last_attempt_runs_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (suspect, other) = {
        let database = Database::open(folder.path());
        (database.submit("a").id, database.submit("b").id)
    };
    for _ in 1..MAX_CRASHES {
        die(folder.path(), None);
    }
    let database = Database::open(folder.path());
    let claim = || {
        database
            .store
            .claim(Machine::Shared)
            .expect("claims")
            .map(|job| job.id)
    };
    assert_eq!(claim(), Some(suspect));
    assert_eq!(claim(), None, "nothing runs at the same time");
    database.record_bundle(suspect, 1);
    assert_eq!(claim(), Some(other), "it got further");
}

#[test]
fn a_job_on_its_last_attempt_holds_up_no_jobs_on_other_machines() {
    let folder = tempfile::tempdir().expect("a folder");
    let (suspect, other) = {
        let database = Database::open(folder.path());
        (database.submit("a").id, database.submit("b").id)
    };
    for _ in 1..MAX_CRASHES {
        die(folder.path(), None);
    }
    let database = Database::open(folder.path());
    let claim = || {
        database
            .store
            .claim(Machine::Own)
            .expect("claims")
            .map(|job| job.id)
    };
    assert_eq!([claim(), claim()], [Some(suspect), Some(other)]);
}

#[test]
fn a_shutdown_counts_as_neither_attempt_nor_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = Database::open(folder.path()).submit("a").id;
    for round in 1..=5 {
        let database = Database::open(folder.path());
        let claimed = database
            .store
            .claim(Machine::Shared)
            .expect("claims")
            .expect("a job");
        assert_eq!((claimed.id, claimed.attempts), (id, 1));
        assert_eq!(claimed.spent, SECOND * (round - 1));
        if round % 2 == 0 {
            database
                .store
                .release(id, SECOND * round)
                .expect("released");
        } else {
            database.append(id, Vec::new(), SECOND * round);
            let all = database.store.release_all();
            database.runtime.block_on(all).expect("released");
        }
    }
    // A job whose cancellation was requested meanwhile is not queued again.
    let database = Database::open(folder.path());
    database
        .store
        .claim(Machine::Shared)
        .expect("claims")
        .expect("a job");
    let cancelled = database.runtime.block_on(database.store.cancel(id));
    assert!(cancelled.expect("marked").cancel_requested);
    database.store.release(id, SECOND).expect("released");
    assert_eq!(database.job(id).state, JobState::Cancelled);
    assert!(
        database
            .store
            .claim(Machine::Shared)
            .expect("claims")
            .is_none()
    );
}
