//! The job database over its whole life: reopened, locked, and sent the same request twice.

use crate::store_support::{Database, SECOND, new_job, spec, supervisor};
use digits_checkpoint::{
    id::CheckpointId,
    manifest::Evaluation,
    serving::{Decision, Policy, Scope},
};
use digits_trainer::{
    job::{CurveRow, JobId, JobState},
    quotas::QuotaExceeded,
    store::{
        CheckpointIntent, ImportUse, IntentState, JobFilter, JobOutcome, Machine, NewJob, Store,
        StoreError, Submitted,
    },
};
use std::collections::BTreeSet;

fn row(step: u64, train_loss: f64) -> CurveRow {
    CurveRow {
        at_us: 5,
        step,
        epoch: 1,
        step_in_epoch: 1,
        train_loss,
        validation: Evaluation {
            images: 10,
            correct: 5,
            loss: 0.5,
            loss_batch_mean: 0.5,
            batch_size: 5,
        },
        learning_rate: 0.1,
        samples_per_second: 1e6,
    }
}

#[test]
fn a_reopened_database_has_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let id = {
        let database = Database::open(folder.path());
        let job = database.submit("a");
        let claimed = database
            .store
            .claim(Machine::Shared)
            .expect("claims")
            .expect("a job");
        assert_eq!(claimed.id, job.id);
        assert!(
            database
                .store
                .claim(Machine::Shared)
                .expect("claims")
                .is_none(),
            "once only"
        );
        let beginning = database
            .store
            .begin(job.id, "cpu".to_owned(), "d".repeat(64));
        database.runtime.block_on(beginning).expect("begun");
        database.append(job.id, vec![row(1, 2.5), row(11, f64::NAN)], SECOND);
        let outcome = JobOutcome {
            state: JobState::Succeeded,
            train_seconds: 0.1 + 0.2,
            ..JobOutcome::cancelled()
        };
        database.store.finish(job.id, outcome).expect("finished");
        job.id
    };
    let database = Database::open(folder.path());
    let job = database.job(id);
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(job.train_seconds.to_bits(), (0.1_f64 + 0.2).to_bits());
    assert_eq!(job.last_event, 5);
    assert_eq!(job.spent, SECOND);
    let sequences: Vec<u64> = database
        .events(id)
        .iter()
        .map(|event| event.sequence)
        .collect();
    assert_eq!(
        sequences,
        [1, 2, 3, 4, 5],
        "queued, running, two rows, finished"
    );
    let sampled = database
        .runtime
        .block_on(database.store.history(id, 2))
        .expect("history");
    assert_eq!(sampled.rows[0], row(1, 2.5));
    assert!(sampled.rows[1].train_loss.is_nan());
}

#[test]
fn two_trainers_cannot_share_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = Database::open(folder.path());
    let second = Store::open(folder.path(), &supervisor())
        .err()
        .expect("refused");
    assert!(second.to_string().contains("another trainer"), "{second}");
}

#[test]
fn a_request_is_accepted_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let first = database.submit("a");
    assert_eq!(database.submit("a").id, first.id);
    let other = NewJob {
        requested: spec(r#"{"epochs": 9}"#),
        ..new_job("a")
    };
    let refused = database.runtime.block_on(database.store.submit(other, 10));
    assert!(matches!(refused, Err(StoreError::RequestIdTaken)));
    let full = database
        .runtime
        .block_on(database.store.submit(new_job("b"), 1));
    assert!(matches!(full, Err(StoreError::QueueFull { waiting: 1 })));
    let listed = database.runtime.block_on(database.store.jobs(JobFilter {
        limit: 10,
        ..JobFilter::default()
    }));
    assert_eq!(
        listed.expect("listed").len(),
        1,
        "what was refused left nothing behind"
    );
}

#[test]
fn the_queue_is_first_in_first_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let ids: Vec<JobId> = ["a", "b", "c"]
        .iter()
        .map(|id| database.submit(id).id)
        .collect();
    let first = database
        .store
        .claim(Machine::Shared)
        .expect("claims")
        .expect("a job");
    database.store.release(first.id, SECOND).expect("released");
    let order: Vec<JobId> =
        std::iter::from_fn(|| database.store.claim(Machine::Shared).expect("claims"))
            .map(|job| job.id)
            .collect();
    assert_eq!(order, ids, "a released job is the first again");
}

#[test]
fn a_second_attempt_records_no_row_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let id = database.submit("a").id;
    let append = |rows| database.append(id, rows, SECOND);
    append(vec![row(1, 2.0), row(11, 1.0), row(21, 0.5)]);
    let before = database.job(id).last_event;
    // The same again, at another time and speed, or with other last bits: the recorded rows stay.
    let again = CurveRow {
        at_us: 9,
        samples_per_second: 1.0,
        ..row(1, 2.0)
    };
    append(vec![again]);
    append(vec![row(11, 1.0 + f64::EPSILON), row(21, 0.5)]);
    assert_eq!(database.job(id).last_event, before);
    assert_eq!(database.job(id).step, 21);
    append(vec![row(21, 0.5), row(31, 0.25)]);
    assert_eq!(database.job(id).last_event, before + 1);
    assert_eq!(database.steps(id), [1, 11, 21, 31]);
    let latest = database.job(id).latest.map(|row| row.train_loss);
    assert_eq!(latest, Some(0.25));
}

#[test]
fn intents_are_kept_until_they_are_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let (store, runtime) = (&database.store, &database.runtime);
    let job = database.submit("a").id;
    let intent = |epoch: u32| CheckpointIntent {
        id: CheckpointId::generate(),
        job,
        epoch,
        step: 10,
        promotion: Policy::Latest,
        scope: Scope::Any,
        weights_sha256: epoch.to_string(),
        state: IntentState::Planned,
        serving_sequence: 0,
    };
    let plan = |intent: &CheckpointIntent| {
        let planned = runtime.block_on(store.plan_checkpoint(intent.clone()));
        planned.expect("planned");
    };
    let (done, abandoned, open) = (intent(1), intent(2), intent(3));
    for each in [&done, &abandoned, &open] {
        plan(each);
    }
    runtime.block_on(async {
        store
            .checkpoint_committed(done.id)
            .await
            .expect("committed");
        let decision = Decision {
            sequence: 7,
            ..Decision::default()
        };
        let ended = store.checkpoint_done(done.id, decision).await;
        ended.expect("done");
        let ended = store.checkpoint_abandoned(abandoned.id).await;
        ended.expect("abandoned");
        let unfinished = store.unfinished_checkpoints().await.expect("listed");
        assert_eq!(unfinished, [open]);
    });
    assert_eq!(database.job(job).published.ids, [done.id.to_string()]);
    let committed_before = |epoch: u32, weights: &str| {
        let found = store.committed_before(job, epoch, weights.to_owned());
        runtime.block_on(found).expect("read")
    };
    assert_eq!(committed_before(1, "1"), Some(done.id));
    assert_eq!(committed_before(1, "2"), None, "other weights");
    assert_eq!(committed_before(2, "1"), None, "another epoch");
    assert_eq!(committed_before(2, "2"), None, "abandoned");
    assert_eq!(committed_before(3, "3"), None, "only planned");
}

#[test]
fn parents_are_needed_until_their_jobs_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let parents = [CheckpointId::generate(), CheckpointId::generate()];
    let database = Database::open(folder.path());
    let jobs: Vec<JobId> = [Some(parents[0]), Some(parents[1]), Some(parents[1]), None]
        .into_iter()
        .enumerate()
        .map(|(index, parent)| {
            let mut new = new_job(&index.to_string());
            new.resolved.plan.parent = parent;
            match database.runtime.block_on(database.store.submit(new, 10)) {
                Ok(Submitted::New(job)) => job.id,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    let needed = |database: &Database| {
        database
            .runtime
            .block_on(database.store.needed_parents())
            .expect("parents")
    };
    assert_eq!(needed(&database), BTreeSet::from(parents));
    let first = database
        .store
        .claim(Machine::Shared)
        .expect("claimed")
        .expect("a job")
        .id;
    assert_eq!(first, jobs[0]);
    assert_eq!(
        needed(&database),
        BTreeSet::from(parents),
        "one that runs needs its own too"
    );
    database
        .store
        .finish(first, JobOutcome::failed("no".to_owned()))
        .expect("ended");
    let cancel = |id: JobId| {
        database
            .runtime
            .block_on(database.store.cancel(id))
            .expect("cancelled")
    };
    cancel(jobs[1]);
    assert_eq!(needed(&database), BTreeSet::from([parents[1]]));
    drop(database);
    let database = Database::open(folder.path());
    assert_eq!(
        needed(&database),
        BTreeSet::from([parents[1]]),
        "after a restart too"
    );
}

#[test]
fn jobs_are_to_be_marked_if_they_published_and_did_not_get_to_their_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let (store, runtime) = (&database.store, &database.runtime);
    let jobs = ["published", "empty", "running"].map(|name| database.submit(name).id);
    for job in [jobs[0], jobs[2]] {
        let intent = CheckpointIntent {
            id: CheckpointId::generate(),
            job,
            epoch: 1,
            step: 10,
            promotion: Policy::Latest,
            scope: Scope::Any,
            weights_sha256: String::new(),
            state: IntentState::Planned,
            serving_sequence: 0,
        };
        runtime.block_on(async {
            let id = intent.id;
            store.plan_checkpoint(intent).await.expect("planned");
            store.checkpoint_committed(id).await.expect("committed");
        });
    }
    for job in &jobs[..2] {
        runtime.block_on(store.cancel(*job)).expect("cancelled");
    }
    let unmarked = || runtime.block_on(store.unmarked_jobs()).expect("listed");
    assert_eq!(unmarked(), [(jobs[0], JobState::Cancelled)]);
    runtime.block_on(store.job_marked(jobs[0])).expect("marked");
    assert_eq!(unmarked(), []);
}

#[test]
fn a_client_has_a_quota_of_queued_jobs() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let submit = |request_id: &str, client: &str| {
        let new = NewJob {
            submitted_by: client.to_owned(),
            quota: Some(2),
            ..new_job(request_id)
        };
        database.runtime.block_on(database.store.submit(new, 10))
    };
    for request_id in ["a", "b"] {
        assert!(submit(request_id, "alice").is_ok());
    }
    let refused = submit("c", "alice").expect_err("over the quota");
    assert!(matches!(
        refused,
        StoreError::Quota(QuotaExceeded::QueuedJobs(2))
    ));
    // The same request again is no new job, and other clients have their own quota.
    assert!(submit("b", "alice").is_ok());
    assert!(submit("c", "bob").is_ok());
}

#[test]
fn imports_count_for_their_client() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path());
    let (runtime, store) = (&database.runtime, &database.store);
    let used = |client: &str| {
        let used = runtime.block_on(store.imported_by(client.to_owned()));
        used.expect("read")
    };
    assert_eq!(used("alice"), ImportUse::default());
    for (client, imports, bytes) in [("alice", 1, 100), ("alice", 0, 11), ("bob", 1, 7)] {
        let new = ImportUse { imports, bytes };
        let added = runtime.block_on(store.add_import(client.to_owned(), new));
        added.expect("written");
    }
    let (imports, bytes) = (1, 111);
    assert_eq!(used("alice"), ImportUse { imports, bytes });
}
