//! Sweeps in the job database: after a kill at any point, the next process resumes them from what
//! was stored.

use crate::store_support::{Database, new_job, new_job_of, new_sweep};
use digits_checkpoint::{id::CheckpointId, manifest::Evaluation};
use digits_trainer::{
    job::{JobId, JobState},
    store::{
        ActiveSweep, JobOutcome, Machine, NewJob, Store, StoreError, Submitted, Sweep,
        SweepSubmitted,
    },
    sweep::{SweepState, TrialResult, TrialState},
};

const QUEUED: TrialState = TrialState::Submitted(JobState::Queued);

fn accept(database: &Database, request_id: &str, trials: u32) -> Result<Sweep, StoreError> {
    let new = new_sweep(request_id, trials);
    match database
        .runtime
        .block_on(database.store.submit_sweep(new))?
    {
        SweepSubmitted::New(sweep) | SweepSubmitted::Existing(sweep) => Ok(*sweep),
    }
}

fn active(database: &Database, pending: usize) -> Vec<ActiveSweep> {
    let active = database.store.active_sweeps(pending);
    database.runtime.block_on(active).expect("sweeps")
}

/// Submits the job of a trial as the task that runs sweeps does; whether it is new.
fn submit(database: &Database, sweep: &ActiveSweep, trial: usize) -> (JobId, bool) {
    let trial = &sweep.open[trial];
    let spec = database.store.trial_spec(sweep.number, trial.number);
    let spec = database.runtime.block_on(spec).expect("a spec");
    let new = NewJob {
        request_id: trial.request_id.clone(),
        ..new_job_of("", spec)
    };
    let submitted = database.runtime.block_on(database.store.submit(new, 100));
    match submitted.expect("accepted") {
        Submitted::New(job) => (job.id, true),
        Submitted::Existing(job) => (job.id, false),
    }
}

fn finish(store: &Store, outcome: JobOutcome) -> JobId {
    let job = store
        .claim(Machine::Shared)
        .expect("claims")
        .expect("a job");
    store.finish(job.id, outcome).expect("finished");
    job.id
}

fn end(database: &Database, trial: u32, result: TrialResult) {
    let ending = database.store.end_trial(1, trial, result);
    database.runtime.block_on(ending).expect("ended");
}

fn measured(correct: u64, loss: f64) -> TrialResult {
    let result = Evaluation {
        images: 100,
        correct,
        loss,
        loss_batch_mean: loss,
        batch_size: 10,
    };
    TrialResult::Measured(CheckpointId::generate(), result)
}

#[test]
fn a_process_that_is_killed_between_submissions_loses_and_doubles_no_trial() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut submitted = Vec::new();
    {
        let database = Database::open(folder.path());
        accept(&database, "a", 3).expect("accepted");
        // Killed after the submission, before anything else.
        let sweep = active(&database, 2).remove(0);
        assert_eq!(
            sweep.open.len(),
            2,
            "no more are read than can be submitted"
        );
        submitted.push(submit(&database, &sweep, 0));
    }
    {
        let database = Database::open(folder.path());
        let sweep = active(&database, 1).remove(0);
        let states: Vec<TrialState> = sweep.open.iter().map(|trial| trial.state).collect();
        assert_eq!(states, [QUEUED, TrialState::Pending]);
        assert_eq!(sweep.open[0].job, Some(submitted[0].0));
        // As if it had not been seen.
        assert_eq!(submit(&database, &sweep, 0), (submitted[0].0, false));
        submitted.push(submit(&database, &sweep, 1));
        // It ends, and the process before its result is recorded.
        assert_eq!(
            finish(&database.store, JobOutcome::failed("such".to_owned())),
            submitted[0].0
        );
    }
    let database = Database::open(folder.path());
    let sweep = active(&database, 1).remove(0);
    let states: Vec<TrialState> = sweep.open.iter().map(|trial| trial.state).collect();
    let failed = TrialState::Submitted(JobState::Failed);
    assert_eq!(states, [failed, QUEUED, TrialState::Pending]);
    end(&database, 1, TrialResult::WithJob);
    assert_eq!(active(&database, 1)[0].open.len(), 2);
    let read = database
        .runtime
        .block_on(database.store.sweep(sweep.id))
        .expect("a sweep");
    assert_eq!((read.ended_trials, read.total_trials), (1, 3));
    assert_eq!(read.trials[0].error, "such");
}

#[test]
fn a_rung_begins_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let sweep = accept(&database, "a", 2).expect("accepted");
    let mut next = new_sweep("b", 1).trials;
    next[0].number = 3;
    for _ in 0..2 {
        let beginning = database.store.begin_rung(sweep.number, 2, next.clone());
        database.runtime.block_on(beginning).expect("begun");
    }
    let sweep = database
        .runtime
        .block_on(database.store.sweep(sweep.id))
        .expect("a sweep");
    let rungs: Vec<u32> = sweep.trials.iter().map(|trial| trial.rung).collect();
    assert_eq!(rungs, [1, 1, 2]);
    assert_eq!(active(&database, 9)[0].rung, 2);
}

#[test]
fn the_best_trial_is_kept_from_retention_after_the_sweep_and_all_during_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let sweep = accept(&database, "a", 4).expect("accepted");
    for (number, result) in [
        (1, measured(90, 0.4)),
        (2, measured(91, 0.6)),
        (3, measured(91, 0.5)),
        (4, TrialResult::Without("no checkpoint".to_owned())),
    ] {
        end(&database, number, result);
    }
    let needed = || {
        let needed = database.store.needed_by_sweeps();
        database.runtime.block_on(needed).expect("ids")
    };
    assert_eq!(needed().len(), 3);
    let ending = database
        .store
        .finish_sweep(sweep.number, SweepState::Succeeded);
    database.runtime.block_on(ending).expect("ended");
    let sweep = database
        .runtime
        .block_on(database.store.sweep(sweep.id))
        .expect("a sweep");
    let best = sweep.best.expect("a best trial");
    assert_eq!(best.number, 3, "most correct, then the lowest loss");
    assert_eq!(
        needed().into_iter().collect::<Vec<_>>(),
        [best.checkpoint.expect("a checkpoint")]
    );
    assert!(active(&database, 1).is_empty());
}

#[test]
fn sixteen_sweeps_run_at_a_time_and_one_request_makes_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    for number in 0..16 {
        accept(&database, &number.to_string(), 1).expect("accepted");
    }
    let again = accept(&database, "3", 1).expect("the same");
    assert_eq!(again.number, 4);
    let refused = accept(&database, "one more", 1);
    assert!(
        matches!(refused, Err(StoreError::TooManySweeps { running: 16 })),
        "{refused:?}"
    );
    let ending = database.store.finish_sweep(1, SweepState::Failed);
    database.runtime.block_on(ending).expect("ended");
    accept(&database, "one more", 1).expect("accepted");
}

#[test]
fn the_room_in_the_queue_is_that_of_the_queue_and_of_the_client() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    for (request_id, client) in [("a", "ada"), ("b", "ada"), ("c", "bob")] {
        let new = NewJob {
            submitted_by: client.to_owned(),
            ..new_job(request_id)
        };
        database
            .runtime
            .block_on(database.store.submit(new, 10))
            .expect("accepted");
    }
    let room = |client: &str, capacity, quota| {
        let room = database
            .store
            .queue_room(client.to_owned(), capacity, quota);
        database.runtime.block_on(room).expect("a number")
    };
    assert_eq!(room("ada", 10, None), 7);
    assert_eq!(room("ada", 10, Some(3)), 1);
    assert_eq!(room("bob", 10, Some(3)), 2);
    assert_eq!(room("bob", 3, Some(3)), 0);
    assert_eq!(room("ada", 10, Some(1)), 0);
}
