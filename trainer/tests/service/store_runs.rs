//! Attempts outside the trainer's process in the job database: reports are taken in once and in
//! order, open attempts outlive the trainer, and dead workers are counted.

use crate::store_support::{Database, SECOND};
use digits_checkpoint::manifest::Evaluation;
use digits_proto::v1::watch_job_response::Event;
use digits_trainer::{
    attempt::{AttemptReport, BundleReport, Report, ResumePoint},
    job::{CurveRow, JobId, JobState, WaitCause},
    store::{
        Crash, JobFilter, JobOutcome, MAX_CRASHES, Machine, Run, StoreError, Survivors, TakenIn,
    },
};
use std::time::Duration;

fn rows(steps: &[u64]) -> Report {
    let row = |&step| CurveRow {
        at_us: 5,
        step,
        epoch: 1,
        step_in_epoch: 1,
        train_loss: 0.5,
        validation: Evaluation {
            images: 10,
            correct: 5,
            loss: 0.5,
            loss_batch_mean: 0.5,
            batch_size: 5,
        },
        learning_rate: 0.1,
        samples_per_second: 1e6,
    };
    Report::Rows(steps.iter().map(row).collect())
}

fn bundle(number: u64, step: u64) -> Report {
    Report::Bundle(BundleReport {
        number,
        step,
        elapsed: Duration::ZERO,
    })
}

fn point(attempt: u32, number: u64) -> ResumePoint {
    ResumePoint { attempt, number }
}

impl Database {
    /// A job that was claimed and has an open attempt.
    fn running(&self) -> (JobId, Run) {
        let id = self.submit("a").id;
        self.store
            .claim(Machine::Shared)
            .expect("claims")
            .expect("a job");
        (id, self.begin_run(id))
    }

    fn begin_run(&self, id: JobId) -> Run {
        self.runtime
            .block_on(self.store.begin_run(id))
            .expect("begun")
    }

    fn open_run(&self, id: JobId) -> Option<Run> {
        self.runtime
            .block_on(self.store.open_run(id))
            .expect("read")
    }

    fn take_in(
        &self,
        id: JobId,
        (attempt, number): (u32, u64),
        report: Report,
    ) -> Result<TakenIn, StoreError> {
        let report = AttemptReport {
            spent: SECOND,
            step: 0,
            report,
        };
        let taking = self.store.take_in(id, attempt, number, report);
        self.runtime.block_on(taking)
    }
}

#[test]
fn reports_are_taken_in_once_and_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let (id, run) = database.running();
    assert_eq!((run.attempt, run.followed, run.bundles), (1, 0, Vec::new()));
    let began = Report::Began {
        device: "cpu".to_owned(),
        dataset_digest: "d".repeat(64),
    };
    database.take_in(id, (1, 1), began.clone()).expect("next");
    let taken = database.take_in(id, (1, 2), rows(&[1, 11])).expect("next");
    assert_eq!(taken.rows.len(), 2);
    for (place, report) in [
        ((1, 1), began),
        ((1, 2), rows(&[21])),
        ((1, 4), rows(&[21])),
        ((2, 3), rows(&[21])),
        ((0, 3), rows(&[21])),
    ] {
        let refused = database
            .take_in(id, place, report)
            .expect_err("not the next");
        assert!(
            matches!(refused, StoreError::NotFollowed { .. }),
            "{refused}"
        );
    }
    let events = database.events(id).into_iter();
    let events: Vec<Event> = events.filter_map(|event| event.event).collect();
    assert_eq!(events.len(), 4, "queued, running, two rows: {events:?}");
    let job = database.job(id);
    assert_eq!((job.device.as_str(), job.spent), ("cpu", SECOND));

    // The next attempt produces the same rows again, which are not doubled.
    assert_eq!(database.store.crashed(id).expect("counted"), Crash::Resumed);
    let late = database
        .take_in(id, (1, 3), rows(&[21]))
        .expect_err("closed");
    assert!(matches!(late, StoreError::NotFollowed { .. }), "{late}");
    database
        .store
        .claim(Machine::Shared)
        .expect("claims")
        .expect("a job");
    assert_eq!(database.begin_run(id).attempt, 2);
    let taken = database
        .take_in(id, (2, 1), rows(&[1, 11, 21]))
        .expect("next");
    assert_eq!(taken.rows.len(), 1);
    assert_eq!(database.steps(id), [1, 11, 21]);
}

#[test]
fn the_two_newest_bundles_are_kept_over_attempts() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let (id, _) = database.running();
    for (number, obsolete) in [(1, vec![]), (2, vec![]), (3, vec![point(1, 1)])] {
        let report = bundle(number, 10 * number);
        let taken = database.take_in(id, (1, number), report).expect("next");
        assert_eq!(taken.obsolete, obsolete);
    }
    assert_eq!(database.store.crashed(id).expect("counted"), Crash::Resumed);
    database
        .store
        .claim(Machine::Shared)
        .expect("claims")
        .expect("a job");
    let run = database.begin_run(id);
    assert_eq!(run.bundles, [point(1, 3), point(1, 2)]);
    let taken = database.take_in(id, (2, 1), bundle(1, 40)).expect("next");
    assert_eq!(taken.obsolete, [point(1, 2)]);
    let run = database.open_run(id).expect("open");
    assert_eq!((run.attempt, run.followed), (2, 1));
    assert_eq!(run.bundles, [point(2, 1), point(1, 3)]);
}

#[test]
fn open_attempts_outlive_the_trainer() {
    let folder = tempfile::tempdir().expect("a folder");
    let (id, waiting) = {
        let database = Database::open(folder.path());
        let (id, _) = database.running();
        database.take_in(id, (1, 1), rows(&[1])).expect("next");
        (id, database.submit("b").id)
    };
    for _ in 0..5 {
        let database = Database::open(folder.path());
        let recovery = database.store.recover(Survivors::OpenAttempts);
        let recovery = database.runtime.block_on(recovery).expect("recovers");
        assert_eq!(recovery.resumed, []);
        let claimed = database
            .store
            .claim(Machine::Shared)
            .expect("claims")
            .expect("a job");
        assert_eq!((claimed.id, claimed.state), (id, JobState::Running));
        assert_eq!(claimed.attempts, 1, "the same attempt");
        assert_eq!(database.open_run(id).expect("open").followed, 1);
    }
    let database = Database::open(folder.path());
    // By a trainer that trains on its threads, the job is resumed as after a crash.
    let recovery = database.store.recover(Survivors::Nothing);
    let recovery = database.runtime.block_on(recovery).expect("recovers");
    assert_eq!(recovery.resumed, [id]);
    assert_eq!(database.open_run(id), None);
    let claim = || {
        database
            .store
            .claim(Machine::Shared)
            .expect("claims")
            .map(|job| job.id)
    };
    assert_eq!([claim(), claim()], [Some(id), Some(waiting)]);
}

#[test]
fn a_job_that_kills_its_workers_is_abandoned() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let id = database.submit("a").id;
    let die = |step: Option<u64>| {
        database
            .store
            .claim(Machine::Shared)
            .expect("claims")
            .expect("a job");
        let run = database.begin_run(id);
        if let Some(step) = step {
            let report = bundle(1, step);
            database
                .take_in(id, (run.attempt, 1), report)
                .expect("next");
        }
        database.store.crashed(id).expect("counted")
    };
    for step in 1..=7 {
        assert_eq!(die(Some(step)), Crash::Resumed, "it gets further");
    }
    // The seventh death counts too.
    for death in 2..MAX_CRASHES {
        assert_eq!(die(Some(7)), Crash::Resumed, "{death}");
    }
    assert_eq!(die(None), Crash::Abandoned);
    let job = database.job(id);
    assert_eq!(job.state, JobState::Failed);
    let error = job.error;
    assert!(error.contains("worker process died 3 times"), "{error}");
    assert!(error.contains("step 7"), "{error}");
}

#[test]
fn what_finished_jobs_left_is_cleared_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let (id, _) = database.running();
    let finished = || {
        let reading = database.store.finished_runs();
        database.runtime.block_on(reading).expect("read")
    };
    assert_eq!(finished(), []);
    let outcome = JobOutcome::cancelled();
    database.store.finish(id, outcome).expect("finished");
    assert_eq!(database.open_run(id), None);
    assert_eq!(finished(), [id]);
    let cleared = database.store.run_cleared(id);
    database.runtime.block_on(cleared).expect("recorded");
    assert_eq!(finished(), []);
}

#[test]
fn a_running_job_whose_worker_waits_counts_as_queued() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let (id, run) = database.running();
    let record = |attempt: u32, now: Option<(WaitCause, &str)>| {
        let now = now.map(|(cause, reason)| (cause, reason.to_owned()));
        let recording = database.store.record_waiting(id, attempt, now);
        database.runtime.block_on(recording).expect("recorded");
    };
    let listed = |state: JobState| {
        let filter = JobFilter {
            states: vec![state],
            limit: 10,
            ..JobFilter::default()
        };
        let jobs = database.runtime.block_on(database.store.jobs(filter));
        jobs.expect("listed").len()
    };
    let events = || database.job(id).last_event;
    let before = events();

    record(run.attempt, Some((WaitCause::Queue, "held")));
    let waiting = database.job(id).waiting.expect("it waits");
    assert_eq!(
        (waiting.cause, waiting.reason.as_str()),
        (WaitCause::Queue, "held")
    );
    assert_eq!(
        (listed(JobState::Queued), listed(JobState::Running)),
        (1, 0)
    );
    assert_eq!(events(), before + 1);
    let counts = database.runtime.block_on(database.store.count_by_state());
    let counts = counts.expect("counted");
    assert_eq!((counts[0].1, counts[1].1), (1, 0));
    // Nobody else may have it.
    assert!(
        database
            .store
            .claim(Machine::Shared)
            .expect("claims")
            .is_none()
    );

    // Another reason is not another event, another cause is.
    record(run.attempt, Some((WaitCause::Queue, "still held")));
    assert_eq!(events(), before + 1);
    let now = database.job(id).waiting.expect("it waits");
    assert_eq!(
        (now.reason.as_str(), now.since_us),
        ("still held", waiting.since_us)
    );
    record(run.attempt, Some((WaitCause::Placement, "no room")));
    assert_eq!(events(), before + 2);

    // That of an earlier attempt does not count.
    let second = database.begin_run(id);
    record(run.attempt, Some((WaitCause::Start, "late")));
    assert_eq!(database.job(id).waiting, None);
    record(
        second.attempt,
        Some((WaitCause::Start, "its image is pulled")),
    );
    let open = database.open_run(id).expect("open");
    assert_eq!(open.waiting.map(|(cause, _)| cause), Some(WaitCause::Start));
    record(second.attempt, None);
    assert_eq!(
        (listed(JobState::Queued), listed(JobState::Running)),
        (0, 1)
    );
}
